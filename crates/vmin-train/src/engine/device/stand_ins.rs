//! The whole CUDA engine where there is no GPU: on libraries in C (`stand_ins/`) that take the calls which this
//! project makes to NVIDIA's, and compute on the processor.
//!
//! What is tested here is the engine's side: which call is made when, with which sizes and pointers, and what
//! becomes of what comes back. Nothing of it says what NVIDIA's libraries do.
//!
//! Libraries are loaded once and for a whole process, so every case has a process of its own: this program
//! again, with the one test that is ignored otherwise.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a process tells another; a skipped test says why"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::tests::{compare_passes, compare_run, compare_sizes};
use super::{host, libraries};
use crate::engine::Engine;

/// What the stand-ins are to do wrong.
const FAULT: &str = "VMIN_STAND_IN_FAULT";
/// Where they find the kernels.
const KERNELS: &str = "VMIN_STAND_IN_KERNELS";
/// Whether the process compares the engine with the processor.
const COMPARED: &str = "VMIN_STAND_IN_COMPARED";
/// Begins the line in which it tells what engine it got.
const TOLD: &str = "engine on stand-ins: ";

/// The folders, each with what stands in for the library of its name.
const ALL: [&str; 5] = ["driver", "compiler", "products", "cudnn", "cudnn_parts"];

struct StandIns(TempDir);

impl StandIns {
    /// `None` where there is no C compiler.
    fn new() -> Option<Self> {
        let Some(compiler) = host::compiler() else {
            eprintln!("skipped: no C compiler; set CC");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/device/stand_ins");
        // A library that is loaded is found by the name that it gives itself, before all that the loader knows.
        for (of, source, name, itself, options) in [
            ("driver", "cuda.c", "libcuda.so", "libcuda.so", None),
            ("compiler", "nvrtc.c", "libnvrtc.so.12", "libnvrtc.so", None),
            ("products", "cublas.c", "libcublas.so.12", "libcublas.so", None),
            ("products", "", "libcublasLt.so.12", "libcublasLt.so", None),
            ("cudnn", "cudnn.c", "libcudnn.so.9", "libcudnn.so.9", None),
            ("cudnn_parts", "", "libcudnn_graph.so.9", "libcudnn_graph.so.9", None),
            ("cudnn_parts", "", "libcudnn_ops.so.9", "libcudnn_ops.so.9", None),
            ("cudnn_parts", "", "libcudnn_cnn.so.9", "libcudnn_cnn.so.9", None),
            // In place of a driver that the loader knows.
            ("loader", "cuda.c", "libcuda.so", "libcuda.so.1", Some("-DGPU=\"of the loader\"")),
        ] {
            let to = folder.path().join(of);
            std::fs::create_dir_all(&to).expect("a folder");
            // Of some nothing is called.
            let source =
                if source.is_empty() { PathBuf::from("/dev/null") } else { sources.join(source) };
            let itself = format!("-Wl,-soname,{itself}");
            let options: Vec<&str> = [itself.as_str()].into_iter().chain(options).collect();
            host::compile(&compiler, &source, &to.join(name), &options);
        }
        host::compile_kernels(&compiler, &folder.path().join("kernels.so"));
        // `cudarc` asks the loader for this name first, which no cuDNN gives itself.
        let link = folder.path().join("loader/libcudnn.so");
        std::os::unix::fs::symlink("../cudnn/libcudnn.so.9", link).expect("links");
        Some(Self(folder))
    }

    /// What engine a process gets that is told of these folders and sees these variables.
    fn told(&self, folders: &[&str], variables: &[(&str, &str)]) -> String {
        let in_folder = |name: &str| self.0.path().join(name);
        let named = std::env::join_paths(folders.iter().map(|of| in_folder(of))).expect("plain");
        // The path of a test begins with the crate, its name does not.
        let (_, module) = module_path!().split_once("::").expect("a module");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(format!("{module}::in_a_process_of_its_own"));
        command.args(["--exact", "--ignored", "--nocapture"]);
        // What is on this machine is not to be found.
        for other in ["HOME", "VIRTUAL_ENV", "CONDA_PREFIX", "CUDA_HOME", "CUDA_PATH"] {
            command.env_remove(other);
        }
        command.env_remove(libraries::WITHOUT_CUDNN);
        command.env("LD_LIBRARY_PATH", in_folder("loader"));
        command.env(libraries::VARIABLE, named).env(KERNELS, in_folder("kernels.so"));
        let output = command.envs(variables.iter().copied()).output().expect("starts");
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        // Which call a stand-in refused, should the test fail.
        eprint!("{err}");
        assert!(output.status.success(), "{folders:?}, {variables:?}: {out}");
        let told = out.split_once(TOLD).and_then(|(_, rest)| rest.lines().next());
        told.unwrap_or_else(|| panic!("{folders:?}, {variables:?}: {out}")).to_owned()
    }
}

#[test]
#[ignore = "the others run it, on the libraries that they make"]
fn in_a_process_of_its_own() {
    if std::env::var_os(KERNELS).is_none() {
        return;
    }
    let mut engine = match Engine::cuda() {
        Ok(engine) => engine,
        Err(error) => return println!("{TOLD}{error:?}"),
    };
    println!("{TOLD}{}, {}", engine.name(), engine.note().unwrap_or("no note"));
    if std::env::var_os(COMPARED).is_some() {
        compare_passes(engine.passes());
        compare_sizes(engine.passes());
        compare_run(engine);
    }
}

#[test]
fn the_engine_is_the_processor_but_for_rounding() {
    let Some(stand_ins) = StandIns::new() else { return };
    let compared = (COMPARED, "1");
    assert_eq!(stand_ins.told(&ALL, &[compared]), "stand-in (cuDNN), no note");
    let without = stand_ins.told(&ALL, &[compared, (libraries::WITHOUT_CUDNN, "1")]);
    let reason = "convolutions go by cuBLAS, not by cuDNN: the environment variable \
                  VMIN_WITHOUT_CUDNN is set";
    assert_eq!(without, format!("stand-in (cuBLAS), {reason}"));
}

#[test]
fn the_engine_tells_what_it_goes_without() {
    let Some(stand_ins) = StandIns::new() else { return };
    let cublas = "stand-in (cuBLAS), convolutions go by cuBLAS, not by cuDNN: ";
    for (fault, begins, holds) in [
        // Not wrong.
        ("no pools", "stand-in (cuDNN), no note", ""),
        ("old compiler", "stand-in (cuDNN), no note", ""),
        ("large workspace", "stand-in (cuDNN), no note", ""),
        ("strides alone", "stand-in (cuDNN), for 5 of the convolutions", "by cuBLAS"),
        ("no algorithm", cublas, "no algorithm for any layer"),
        ("wrong output", cublas, "the output is"),
        ("nothing added", cublas, "the gradient of the input is"),
        ("other gradients every time", cublas, "weights is not the same at every run"),
        ("cuDNN fails", cublas, "CUDNN_STATUS_EXECUTION_FAILED"),
        ("cuDNN does not begin", cublas, "it does not begin: "),
        ("cuDNN 8", cublas, "of version 8902, 9 is needed"),
        ("cuDNN of CUDA 13", cublas, "made for CUDA 13, the driver is for CUDA 12"),
        ("cuDNN breaks the device", "Failed {", "VMIN_WITHOUT_CUDNN=1 leaves cuDNN out"),
        ("old driver", "Absent(", "for CUDA 11.8, 12.0 is needed"),
    ] {
        let told = stand_ins.told(&ALL, &[(FAULT, fault)]);
        assert!(told.starts_with(begins) && told.contains(holds), "{fault}: {told}");
    }
    // With the libraries that are there already a process would go on.
    if libraries::products_are_there(i32::MAX) {
        eprintln!("skipped: what is told without cuBLAS, which is on this machine");
    } else {
        let told = stand_ins.told(&["driver", "compiler", "cudnn", "cudnn_parts"], &[]);
        assert!(told.starts_with("Absent(\"libcublas cannot be loaded: "), "{told}");
    }
    if libraries::cudnn_is_there(i32::MAX).is_ok() {
        eprintln!("skipped: what is told without cuDNN, which is on this machine");
    } else {
        let missing = ["libcudnn_graph.so.9", "libcudnn_ops.so.9", "libcudnn_cnn.so.9"].join(", ");
        for (folders, missing) in
            [(&ALL[..4], missing.clone()), (&ALL[..3], missing + ", libcudnn.so.9")]
        {
            let told = stand_ins.told(folders, &[]);
            assert!(told.starts_with(&format!("{cublas}{missing} cannot be loaded: ")), "{told}");
        }
    }
}
