//! Programs with real threads: the same on the model and on the running kernel.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use epoll_lab::backend::Backend;
use epoll_lab::threads::Shared;

#[path = "../../examples/threaded_echo.rs"]
#[expect(dead_code, reason = "a test has no use for its `main`")]
mod threaded_echo;

/// Far more than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The report of the example; a failure if there is none in the end.
fn report(kernel: impl Backend + Clone + Send + 'static) -> String {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let report = threaded_echo::story(kernel).expect("each call of the story succeeds");
        tell.send(report).expect("somebody waits for it");
    });
    told.recv_timeout(PATIENCE).expect("an end in time")
}

const REPORT: &str = "  client 0 got 50 replies, in order
  client 1 got 50 replies, in order
  client 2 got 50 replies, in order
  client 3 got 50 replies, in order
  3 workers echoed 2908 bytes
";

#[test]
fn threads_echo_on_the_model() {
    let kernel = Shared::new();
    for _ in 0..20 {
        assert_eq!(report(kernel.clone()), REPORT);
    }
    assert_eq!(kernel.look(epoll_lab::model::Machine::check), Ok(()));
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn threads_echo_on_the_running_kernel() {
    for _ in 0..20 {
        assert_eq!(report(epoll_lab::kernel::OwnProcess::new()), REPORT);
    }
}
