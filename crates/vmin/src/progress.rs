//! The progress of a long job: a bar on a terminal, elsewhere a line now and then.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use vmin_diagnostic::thousands;

use crate::failure::say;

/// Least time between two lines.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Time after which a line is due although no percent is full.
const LINE_AFTER: Duration = Duration::from_secs(60);

/// The progress of a job of steps, told on standard error.
pub(crate) struct Progress(Shown);

enum Shown {
    Bar(ProgressBar),
    Lines(Mutex<Lines>, Instant),
}

impl Progress {
    /// No progress yet of the job `what`, counted in `steps`.
    pub(crate) fn new(what: &'static str, steps: &'static str) -> Self {
        if !std::io::stderr().is_terminal() {
            let lines = Lines { what, steps, ..Lines::default() };
            return Self(Shown::Lines(Mutex::new(lines), Instant::now()));
        }
        let quiet = !log::log_enabled!(log::Level::Info);
        let target =
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        let template = format!(
            "{{bar:40}} {{pos}}/{{len}} {steps}  {{msg}}  {{elapsed}} elapsed, {{eta}} to go"
        );
        let style = ProgressStyle::with_template(&template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(Shown::Bar(bar))
    }

    /// The job has `total` steps, of which an earlier run did `done`.
    pub(crate) fn begin(&self, total: u64, done: u64) {
        match &self.0 {
            Shown::Bar(bar) => {
                bar.set_length(total);
                bar.set_position(done);
                bar.reset_eta();
                bar.enable_steady_tick(Duration::from_millis(250));
            }
            Shown::Lines(lines, since) => {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                let at = since.elapsed();
                *lines =
                    Lines { total, done, first: done, begun: at, last: at, percent: 0, ..*lines };
            }
        }
    }

    /// One more step is done.
    pub(crate) fn advance(&self) {
        match &self.0 {
            Shown::Bar(bar) => bar.inc(1),
            Shown::Lines(..) => self.tell(|lines| lines.done + 1),
        }
    }

    /// So many steps are done; `words` say more on a bar.
    pub(crate) fn at(&self, done: u64, words: impl FnOnce() -> String) {
        match &self.0 {
            Shown::Bar(bar) => {
                bar.set_position(done);
                bar.set_message(words());
            }
            Shown::Lines(..) => self.tell(|_| done),
        }
    }

    /// Says something in between.
    pub(crate) fn say(&self, text: &str) {
        match &self.0 {
            Shown::Bar(bar) => bar.suspend(|| say(text)),
            Shown::Lines(..) => say(text),
        }
    }

    fn tell(&self, done: impl FnOnce(&Lines) -> u64) {
        if let Shown::Lines(lines, since) = &self.0 {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.done = done(&lines);
            if let Some(line) = lines.due(since.elapsed()) {
                say(&line);
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl vmin_sweep::Progress for Progress {
    fn begin(&self, total: u64, done: u64) {
        Self::begin(self, total, done);
    }

    fn advance(&self) {
        Self::advance(self);
    }
}

/// The lines of a job, by the times since its start that [`Self::due`] is told.
#[derive(Default)]
struct Lines {
    what: &'static str,
    steps: &'static str,
    total: u64,
    done: u64,
    /// Steps that an earlier run did.
    first: u64,
    begun: Duration,
    /// Of the last line.
    last: Duration,
    percent: u64,
}

impl Lines {
    /// The line that is due at this time, if one is.
    fn due(&mut self, at: Duration) -> Option<String> {
        let percent = self.done.saturating_mul(100) / self.total.max(1);
        let waited = at.saturating_sub(self.last);
        let due = waited >= LINE_AFTER || waited >= LINE_EVERY && percent > self.percent;
        if !due || self.done >= self.total || self.done <= self.first {
            return None;
        }
        (self.last, self.percent) = (at, percent);
        let elapsed = at.saturating_sub(self.begun);
        let left = (self.total - self.done) as f64 / (self.done - self.first) as f64;
        Some(format!(
            "{}: {} of {} {}, {percent} %, {}, about {} left",
            self.what,
            thousands(self.done),
            thousands(self.total),
            self.steps,
            clock(elapsed.as_secs_f64()),
            clock(elapsed.as_secs_f64() * left),
        ))
    }
}

/// Seconds as `0:31` or `1:02:03`.
pub(crate) fn clock(seconds: f64) -> String {
    // Negative times do not occur; endless ones saturate.
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Lines {
        let from = Duration::from_secs(5);
        Lines {
            what: "sweep",
            steps: "trials",
            total: 4800,
            done: 400,
            first: 400,
            begun: from,
            last: from,
            percent: 8,
        }
    }

    #[test]
    fn a_line_is_due_after_ten_seconds_with_a_new_percent_and_after_a_minute_anyway() {
        let mut lines = lines();
        let mut at = |done: u64, seconds: u64| {
            lines.done = done;
            lines.due(Duration::from_secs(seconds))
        };
        assert_eq!(at(1200, 14), None, "too soon");
        let first = "sweep: 1,200 of 4,800 trials, 25 %, 0:31, about 2:20 left";
        assert_eq!(at(1200, 36).as_deref(), Some(first));
        assert_eq!(at(1210, 60), None, "the same percent");
        assert!(at(1210, 96).is_some(), "a minute later");
        assert_eq!(at(4800, 300), None, "done: the command says so");
    }

    #[test]
    fn nothing_is_estimated_from_nothing() {
        let mut lines = lines();
        assert_eq!(lines.due(Duration::from_secs(1000)), None);
        assert_eq!(Lines::default().due(Duration::from_secs(1000)), None);
    }

    #[test]
    fn clocks() {
        assert_eq!([31.4, 95.0, 3723.0].map(clock), ["0:31", "1:35", "1:02:03"]);
    }
}
