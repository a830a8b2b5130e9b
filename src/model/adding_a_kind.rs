//! How to add a kind of file: a page for those who miss one.
//!
//! A kind is added from the inside out, and at each step the compiler or a test says what is missing. All of
//! epoll stays as it is: `eventpoll` knows no kind by name. What epoll will make of the new one follows from
//! three answers, and these are the work; so measure them first, on Linux, with a scenario that calls what
//! the lab can call already or with a few lines of C:
//!
//! - **the mask**: which bits are true, as a function of the state;
//! - **the queues**: where a poller stands;
//! - **the wakes**: which operation wakes which queue, with which key, and how many. A mask that changes
//!   without a wake is no edge, and a wake without a change is one.
//!
//! The smallest kind is `/dev/null` and its like (`file/plain.rs`): no queue and no wake. The smallest that wakes
//! is the eventfd (`file/eventfd.rs`), which is the example here.
//!
//! # 1. State and operations: `src/model/file/`
//!
//! ```text
//! #[derive(Clone, Copy, Debug)]
//! pub(crate) struct EventFd { count: u64, semaphore: bool, wqh: HeadId }
//! ```
//!
//! One file with the state and, beside it, `impl FileOps` (`file/ops.rs` tells what each operation is for).
//! A kind is `Copy`. A few words of state may stand in the kind itself, as the counter does here; what two
//! files share, or what is large, is kept in an arena of `Machine` and the kind holds its id, as a pipe's ends
//! do. Such an arena wants a place in `Machine` (field, `new`, `clone_by_field!`), an id in `arena.rs`, and
//! lines in `invariants.rs`: who counts what, and that nothing is left over.
//!
//! Required are `poll`, `queues`, `describe`, `encode_state` and `free`. Everything else answers by default
//! what Linux answers where a method is missing. `read` and `write` are attempts: they change the file or
//! say [`Sleep`, `More` or `Locked`](#what-a-step-is), and push the wakes that they owe onto `io.wakes`.
//!
//! # 2. A row of the table: `kinds!` in `file/ops.rs`
//!
//! `EventFd(EventFd) = 1;` makes it a variant of `Kind`. The number tells it from others in the encoding.
//!
//! # 3. The encoding
//!
//! `encode_state` writes all that a later call could notice, and nothing else: equal bytes must mean equal
//! futures, or the explorer takes two states for one; different bytes for equal futures cost it time. Write what
//! a counter *means* and not the counter: that a FIFO's reader has seen no writer yet, say, and not
//! how many there have been. Destructure without `..`, so that who adds a field is asked.
//!
//! # 4. The call that makes it
//!
//! | where | what |
//! |---|---|
//! | `src/abi/syscall.rs` | a variant of `Syscall`, with the arguments' names from the manual page, and its name |
//! | `src/model/syscall/` | the checks in the kernel's order, then the file: `create.rs` for those that never wait, else a value with steps like `open.rs` |
//! | `src/model/syscall/mod.rs` | the arm that leads there |
//! | `src/kernel/encode.rs` | number and six words; `decode.rs` if it stores something new |
//! | `src/kernel/mod.rs` | `may_sleep`, if it can |
//! | `src/scenario/calls.rs` | a row: how strace prints it. `words.rs` for new constants, `signature.rs` and `read/` for a new sort of argument |
//! | `src/backend.rs` | a method of `Thread`, if programs want one |
//!
//! ## What a step is
//!
//! A call that may sleep, or that wakes somebody, is a value that takes steps (`call.rs`), one for each point
//! at which Linux may be interrupted. Reads and writes have theirs in `file/transfer.rs` already; a kind only says
//! what a sleeper waits for (`awaited`). A step that answers `Blocked` or `Locked` has changed nothing. Each
//! step's name is `function: Step`, and `src/trace/steps.rs` has a sentence for it.
//!
//! Something that happens without a task is a timer (`clock.rs`) or a piece of work (`work.rs`).
//!
//! # 5. What it is held against
//!
//! - **Scenarios** in a folder of `examples/scenarios`. One for each rule, with its sentence as `# law`, and one for
//!   each error in the kernel's order. `epoll-lab run` says where the two kernels differ; then the model is wrong until shown otherwise. Those with a `parallel` block race on Linux too.
//! - **The tables**: a text in `examples/tables` that tells how one comes to each state of the kind's life, and which
//!   operations there are in it (`src/table/mod.rs` tells how to write one). `epoll-lab table` asks both kernels which
//!   bits and which edges that makes.
//! - **Tables**: a file of `examples/tables` with the kind's states and what can be done in each. `epoll-lab table`
//!   asks both kernels for the bits and for the edges.
//! - **Random programs**: a group in `src/fuzz/kinds.rs`. What the scenarios did not think of is found there, in
//!   minutes.
//! - **Laws**: their numbers in `tests/it/laws.rs`.
//! - **Snapshots**: `INSTA_UPDATE=always cargo test --locked` writes transcripts and traces; read them.
//! - Twenty runs of `epoll-lab check` in a row, one of them beside a busy machine, one as nobody.
//!
//! # 6. What people see
//!
//! `README.md` and `CHANGELOG.md` say what there is. `describe` is what a picture shows of the file, in few words.
