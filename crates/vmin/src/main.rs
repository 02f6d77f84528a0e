//! The program `vmin`: parses the command line, runs a command, prints, exits.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::error::ErrorKind;
use vmin::args::{Cli, Command, ErrorFormat, MessageArgs};
use vmin::{Failure, Problems};
use vmin_diagnostic::{Diagnostic, render, visible};

/// What signals ask for.
#[derive(Clone, Default)]
struct Signals {
    /// End early, and keep what was computed.
    stop: Arc<AtomicBool>,
    /// An engine asked, not a person.
    by_engine: Arc<AtomicBool>,
}

fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    #[cfg(unix)]
    file_limits_are_errors();
    let errors = cli.messages.errors;
    if log::set_logger(&StandardError).is_ok() {
        log::set_max_level(level(cli.messages));
    }
    if let Some(threads) = vmin::threads_of_job() {
        // A pool that is already there has threads enough.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    }
    let signals = Signals::default();
    let listening = if stops(&cli.command) { listen(&signals) } else { Ok(()) };
    match listening.and_then(|()| vmin::run(&cli.command, &signals.stop)) {
        Ok(text) => print(&text, errors),
        Err(failure) if signals.by_engine.load(Ordering::Relaxed) => {
            report(&failure.by_engine(), errors)
        }
        Err(failure) => report(&failure, errors),
    }
}

const fn level(messages: MessageArgs) -> log::LevelFilter {
    match messages {
        MessageArgs { quiet: true, .. } => log::LevelFilter::Error,
        MessageArgs { verbose: true, .. } => log::LevelFilter::Debug,
        MessageArgs { .. } => log::LevelFilter::Info,
    }
}

/// The command line, or the exit code once its problem, or the help asked for, is printed.
fn parse() -> Result<Cli, ExitCode> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let error = match Cli::read(&words) {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    let errors = typed_format(&words);
    if error.kind() == ErrorKind::InvalidUtf8
        && let Some(word) = words.iter().find(|word| word.to_str().is_none())
    {
        let problem = format!("`{}` is not UTF-8", word.display());
        let hint = "names in options are texts: rename the file, or give a link with such a name";
        return Err(report(&Diagnostic::new("not-utf8", problem).hint(hint).into(), errors));
    }
    if error.use_stderr() && errors == ErrorFormat::Json {
        return Err(report(&usage(&error.render().to_string()), errors));
    }
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    if words.iter().any(|word| word.to_string_lossy().contains(char::is_control)) {
        say(&visible(error.render().to_string().trim_end()));
    } else {
        let _ = error.print();
    }
    Err(ExitCode::from(code))
}

/// The format of errors that a command line asks for which is wrong otherwise.
fn typed_format(words: &[OsString]) -> ErrorFormat {
    let word = |at: usize| words.get(at).and_then(|word| word.to_str()).unwrap_or_default();
    let asks = |at| word(at) == "--errors=json" || word(at) == "--errors" && word(at + 1) == "json";
    if (0..words.len()).any(asks) { ErrorFormat::Json } else { ErrorFormat::Text }
}

/// What clap says about wrong words, as a problem: its first paragraph, and each tip as a hint.
fn usage(text: &str) -> Failure {
    let mut paragraphs = text.split("\n\n").map(str::trim);
    let message = paragraphs.next().unwrap_or_default().trim_start_matches("error: ");
    let (message, allowed) = message.split_once("\n  [").unwrap_or((message, ""));
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    let problem = Diagnostic::new("usage", lines.join(" ")).allowed(allowed.trim_end_matches(']'));
    let tips = paragraphs.flat_map(str::lines).filter_map(|line| line.trim().strip_prefix("tip: "));
    tips.fold(problem, Diagnostic::hint).into()
}

/// Writing beyond the limit on the size of a file (`ulimit -f`) fails, where it would else end the program.
#[cfg(unix)]
fn file_limits_are_errors() {
    use signal_hook::consts::SIGXFSZ;
    // Without the handler, the signal does what it did.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}

/// Whether the command ends early, with a word about it, when the stop flag is set.
fn stops(command: &Command) -> bool {
    match command {
        Command::Sweep(_)
        | Command::Ask(_)
        | Command::Vmin(_)
        | Command::Yield(_)
        | Command::Sensitivity(_)
        | Command::Assign(_)
        | Command::Merge(_)
        | Command::Attack(_)
        | Command::Eval(_)
        | Command::Deploy(_)
        | Command::Monitor(_)
        | Command::Noise(_)
        | Command::Explore(_)
        | Command::Flatness(_)
        | Command::Train(_) => true,
        Command::Plan(_)
        | Command::Cluster(_)
        | Command::Check(_)
        | Command::Model(_)
        | Command::Chip(_)
        | Command::Cycles(_)
        | Command::Energy(_)
        | Command::Report(_)
        | Command::Compare(_)
        | Command::Init(_)
        | Command::Data(_)
        | Command::Trials(_)
        | Command::Schema { .. }
        | Command::Completions { .. } => false,
    }
}

/// Ctrl-C: the first asks to stop and keeps what was computed, the second ends at once. Signals of engines ask for
/// the same; they often send several, so none of theirs ends it at once.
fn listen(signals: &Signals) -> Result<(), Failure> {
    let wrong = |error: &dyn std::error::Error| Diagnostic::new("signals", error.to_string());
    let Signals { stop, by_engine } = signals.clone();
    ctrlc::set_handler(move || {
        // After a signal of an engine too, Ctrl-C is a person's first.
        if stop.swap(true, Ordering::Relaxed) && !by_engine.load(Ordering::Relaxed) {
            #[expect(clippy::exit, reason = "the second Ctrl-C means now")]
            std::process::exit(130);
        }
        say("stopping; press Ctrl-C again to end at once");
    })
    .map_err(|error| wrong(&error))?;
    #[cfg(unix)]
    {
        use signal_hook::consts::{SIGHUP, SIGTERM, SIGUSR1};
        let register = signal_hook::flag::register;
        for signal in [SIGTERM, SIGUSR1] {
            // Who asked is known when the stop is seen.
            register(signal, Arc::clone(&signals.by_engine)).map_err(|error| wrong(&error))?;
        }
        for signal in [SIGTERM, SIGUSR1, SIGHUP] {
            register(signal, Arc::clone(&signals.stop)).map_err(|error| wrong(&error))?;
        }
    }
    Ok(())
}

/// Prints a text and a newline, or nothing if there is none. A reader that left is no failure.
fn print(text: &str, errors: ErrorFormat) -> ExitCode {
    if text.is_empty() {
        return ExitCode::SUCCESS;
    }
    let mut stdout = std::io::stdout().lock();
    // Data is written as it is, except to a terminal.
    let text = if stdout.is_terminal() { visible(text) } else { text.into() };
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            report(&error.into(), errors)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Prints a failure to standard error; gives the exit code.
fn report(failure: &Failure, errors: ErrorFormat) -> ExitCode {
    match (errors, failure) {
        (ErrorFormat::Json, _) => say(&Problems::of(failure).json()),
        (ErrorFormat::Text, Failure::Input(problems)) => {
            say(&render(problems, colored()));
            if problems.len() > 1 {
                say(&format!("\n{} problems; nothing was done", problems.len()));
            }
        }
        (ErrorFormat::Text, Failure::Failed(problems) | Failure::Busy(problems)) => {
            say(&render(problems, colored()));
        }
        (ErrorFormat::Text, Failure::Interrupted(text) | Failure::Preempted(text)) => say(text),
    }
    ExitCode::from(failure.exit_code())
}

/// A line on standard error; a closed one is nobody's problem.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Colours only where a person looks, and not against their wish.
fn colored() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::io::stderr().is_terminal()
}

/// What commands say on their way, to standard error as it is.
struct StandardError;

impl log::Log for StandardError {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("vmin")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            say(&record.args().to_string());
        }
    }

    fn flush(&self) {}
}
