//! The whole engine without a GPU, on mocks of NVIDIA's libraries: C files beside this one that check the calls and
//! compute on the processor.
//!
//! The tests cover the side of the engine: order, sizes and pointers of its calls, and the use of their results. They
//! say nothing about NVIDIA's libraries.
//!
//! A process loads its libraries once, so every case runs in its own process: this program again, with the one test
//! that is ignored otherwise.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the processes talk through stdout, and skipped tests say why"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::tests::{compare_passes, compare_run, compare_sizes};
use crate::{host, libraries};

/// Environment variable with the fault that the mocks inject.
const FAULT: &str = "VMIN_MOCK_FAULT";
/// Environment variable with the path of the compiled kernels.
const KERNELS: &str = "VMIN_MOCK_KERNELS";
/// Environment variable that makes the process compare the engine with the processor.
const COMPARED: &str = "VMIN_MOCK_COMPARED";
/// Start of the line in which the process reports its engine.
const REPORT: &str = "engine on mocks: ";

/// The folders, each with the mock of one library.
const ALL: [&str; 5] = ["driver", "compiler", "products", "cudnn", "cudnn_parts"];

struct Mocks(TempDir);

impl Mocks {
    /// Compiles the mocks; `None` without a C compiler.
    fn new() -> Option<Self> {
        let Some(compiler) = host::compiler() else {
            eprintln!("skipped: no C compiler; set CC");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mocks");
        // The loader finds a loaded library by its soname before it searches any folder.
        for (of, source, name, itself, options) in [
            ("driver", "cuda.c", "libcuda.so", "libcuda.so", None),
            ("compiler", "nvrtc.c", "libnvrtc.so.12", "libnvrtc.so", None),
            ("products", "cublas.c", "libcublas.so.12", "libcublas.so", None),
            ("products", "", "libcublasLt.so.12", "libcublasLt.so", None),
            ("cudnn", "cudnn.c", "libcudnn.so.9", "libcudnn.so.9", None),
            ("cudnn_parts", "", "libcudnn_graph.so.9", "libcudnn_graph.so.9", None),
            ("cudnn_parts", "", "libcudnn_ops.so.9", "libcudnn_ops.so.9", None),
            ("cudnn_parts", "", "libcudnn_cnn.so.9", "libcudnn_cnn.so.9", None),
            // A driver that the loader finds by itself.
            ("loader", "cuda.c", "libcuda.so", "libcuda.so.1", Some("-DGPU=\"of the loader\"")),
        ] {
            let to = folder.path().join(of);
            std::fs::create_dir_all(&to).expect("a folder");
            // No function of these libraries is called.
            let source =
                if source.is_empty() { PathBuf::from("/dev/null") } else { sources.join(source) };
            let itself = format!("-Wl,-soname,{itself}");
            let options: Vec<&str> = [itself.as_str()].into_iter().chain(options).collect();
            host::compile(&compiler, &source, &to.join(name), &options);
        }
        host::compile_kernels(&compiler, &folder.path().join("kernels.so"));
        // `cudarc` asks the loader for this name first, which is not the soname of any cuDNN.
        let link = folder.path().join("loader/libcudnn.so");
        std::os::unix::fs::symlink("../cudnn/libcudnn.so.9", link).expect("links");
        Some(Self(folder))
    }

    /// The report of a process with these folders and environment variables.
    fn report(&self, folders: &[&str], variables: &[(&str, &str)]) -> String {
        let in_folder = |name: &str| self.0.path().join(name);
        let named = std::env::join_paths(folders.iter().map(|of| in_folder(of))).expect("plain");
        // The path of this module starts with the crate, the name of a test does not.
        let (_, module) = module_path!().split_once("::").expect("a module");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(format!("{module}::in_its_own_process"));
        command.args(["--exact", "--ignored", "--nocapture"]);
        // Hide the libraries of this machine.
        for other in ["HOME", "VIRTUAL_ENV", "CONDA_PREFIX", "CUDA_HOME", "CUDA_PATH"] {
            command.env_remove(other);
        }
        command.env_remove(libraries::WITHOUT_CUDNN);
        command.env("LD_LIBRARY_PATH", in_folder("loader"));
        command.env(libraries::VARIABLE, named).env(KERNELS, in_folder("kernels.so"));
        let output = command.envs(variables.iter().copied()).output().expect("starts");
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        // Shows the refused call if the test fails.
        eprint!("{err}");
        assert!(output.status.success(), "{folders:?}, {variables:?}: {out}");
        let report = out.split_once(REPORT).and_then(|(_, rest)| rest.lines().next());
        report.unwrap_or_else(|| panic!("{folders:?}, {variables:?}: {out}")).to_owned()
    }
}

#[test]
#[ignore = "the other tests run it on the mocks that they compile"]
fn in_its_own_process() {
    if std::env::var_os(KERNELS).is_none() {
        return;
    }
    let mut engine = match crate::engine() {
        Ok(engine) => engine,
        Err(error) => return println!("{REPORT}{error:?}"),
    };
    println!("{REPORT}{}, {}", engine.name(), engine.note().unwrap_or("no note"));
    if std::env::var_os(COMPARED).is_some() {
        compare_passes(engine.passes());
        compare_sizes(engine.passes());
        compare_run(engine);
    }
}

#[test]
fn the_engine_agrees_with_the_processor_up_to_rounding() {
    let Some(mocks) = Mocks::new() else { return };
    let compared = (COMPARED, "1");
    assert_eq!(mocks.report(&ALL, &[compared]), "mock (cuDNN), no note");
    let without = mocks.report(&ALL, &[compared, (libraries::WITHOUT_CUDNN, "1")]);
    let reason = "convolutions use cuBLAS, not cuDNN: the environment variable \
                  VMIN_WITHOUT_CUDNN is set";
    assert_eq!(without, format!("mock (cuBLAS), {reason}"));
}

#[test]
fn the_engine_reports_missing_and_faulty_libraries() {
    let Some(mocks) = Mocks::new() else { return };
    let cublas = "mock (cuBLAS), convolutions use cuBLAS, not cuDNN: ";
    for (fault, begins, holds) in [
        // Accepted.
        ("no pools", "mock (cuDNN), no note", ""),
        ("old compiler", "mock (cuDNN), no note", ""),
        ("large workspace", "mock (cuDNN), no note", ""),
        ("strides alone", "mock (cuDNN), for 5 convolutions", "use cuBLAS"),
        ("no algorithm", cublas, "no algorithm for any layer"),
        ("wrong output", cublas, "the output is"),
        ("nothing added", cublas, "the gradient of the input is"),
        ("other gradients every time", cublas, "weights is not the same at every run"),
        ("cuDNN fails", cublas, "CUDNN_STATUS_EXECUTION_FAILED"),
        ("cuDNN does not start", cublas, "it does not start: "),
        ("cuDNN 8", cublas, "its version is 8902, 9 is needed"),
        ("cuDNN of CUDA 13", cublas, "built for CUDA 13, the driver is for CUDA 12"),
        ("cuDNN breaks the device", "Failed {", "VMIN_WITHOUT_CUDNN=1 switches cuDNN off"),
        ("old driver", "Absent(", "for CUDA 11.8, 12.0 is needed"),
    ] {
        let report = mocks.report(&ALL, &[(FAULT, fault)]);
        assert!(report.starts_with(begins) && report.contains(holds), "{fault}: {report}");
    }
    // With libraries of this machine the engine would start.
    if libraries::products_are_available(i32::MAX) {
        eprintln!("skipped: the report without cuBLAS, because this machine has it");
    } else {
        let report = mocks.report(&["driver", "compiler", "cudnn", "cudnn_parts"], &[]);
        assert!(report.starts_with("Absent(\"libcublas cannot be loaded: "), "{report}");
    }
    if libraries::cudnn_is_available(i32::MAX).is_ok() {
        eprintln!("skipped: the report without cuDNN, because this machine has it");
    } else {
        let missing = ["libcudnn_graph.so.9", "libcudnn_ops.so.9", "libcudnn_cnn.so.9"].join(", ");
        for (folders, missing) in
            [(&ALL[..4], missing.clone()), (&ALL[..3], missing + ", libcudnn.so.9")]
        {
            let report = mocks.report(folders, &[]);
            assert!(
                report.starts_with(&format!("{cublas}{missing} cannot be loaded: ")),
                "{report}"
            );
        }
    }
}
