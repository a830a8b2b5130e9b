//! The program as a user meets it: what it prints, where, and its exit status.

use std::fs;
use std::io::{Write, pipe};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use epoll_lab::scenario::library;
use tempfile::TempDir;

/// A scenario that leaves its results open, and what `--record` makes of it.
const OPEN: &str = "\
ep = epoll_create1(0)
pipe([r, w])
epoll_ctl(ep, EPOLL_CTL_ADD, r, {events=EPOLLIN|EPOLLET, data={u32=7, u64=7}})
write(w, \"a\", 1)
epoll_wait(ep, ..., 8, 0)
";
const RECORDED: &str = "\
ep = epoll_create1(0) = 3
pipe([r, w]) = 0
epoll_ctl(ep, EPOLL_CTL_ADD, r, {events=EPOLLIN|EPOLLET, data={u32=7, u64=7}}) = 0
write(w, \"a\", 1) = 1
epoll_wait(ep, [{events=EPOLLIN, data={u32=7, u64=7}}], 8, 0) = 1
";

/// An expectation that no kernel fulfils, in line 3.
const WRONG: &str = "\
ep = epoll_create1(0)
f = eventfd2(1, 0)
epoll_ctl(ep, EPOLL_CTL_DEL, f, NULL) = 0
";

#[test]
fn every_command_shows_examples() {
    let help = Lab::new(&["--help"]).succeeds();
    let (_, commands) = help
        .split_once("\nCommands:\n")
        .expect("a list of commands");
    let commands: Vec<&str> = commands
        .lines()
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.contains(&"check"), "{commands:?}");
    assert!(help.contains("Examples:\n"), "{help}");
    for command in commands {
        for flag in ["-h", "--help"] {
            let help = Lab::new(&[command, flag]).succeeds();
            assert!(help.contains("Examples:\n"), "{command} {flag}: {help}");
            assert!(help.contains(&format!("epoll-lab {command}")), "{help}");
        }
    }
}

#[test]
fn fuzz_ends_with_its_counts_and_plays_a_seed_again() {
    let show = ["fuzz", "--seed", "7", "--count", "2", "--show"];
    let programs = Lab::new(&show).succeeds();
    assert_eq!(programs, Lab::new(&show).succeeds());
    assert!(programs.contains("epoll_create1"), "{programs}");

    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        let output = Lab::new(&["fuzz", "--seed", "7", "--count", "3", "--files", "eventfd"]);
        let output = output.succeeds();
        let last = output.lines().last().unwrap_or_default();
        let counts = "fuzzed: 3 programs, ";
        let end = " 0 differ, 0 unjudged, ";
        assert!(last.starts_with(counts) && last.contains(end), "{output}");
        assert!(last.ends_with(" programs/min"), "{output}");
    }

    let error = Lab::new(&["fuzz", "--files", "pipes"]).complains();
    assert!(error.contains("there is no kind `pipes`"), "{error}");
    let error = Lab::new(&["fuzz", "--count", "1", "--out", "/nowhere"]).complains();
    assert!(error.contains("/nowhere: no such folder"), "{error}");
}

#[test]
fn the_last_line_of_check_counts_the_scenarios() {
    let output = Lab::new(&["check", "--on", "model"]).succeeds();
    let last = output.lines().last().unwrap_or_default();
    let words: Vec<&str> = last.split([':', ',']).map(str::trim).collect();
    let [all, agree, differ, skipped] = words[..] else {
        panic!("{last}");
    };
    let count = |text: &str, word| -> usize {
        let number = text.strip_suffix(word).expect(last).trim_end();
        number.parse().expect(last)
    };
    let (all, agree, differ, skipped) = (
        count(all, "scenarios"),
        count(agree, "agree"),
        count(differ, "differ"),
        count(skipped, "skipped"),
    );
    assert_eq!(
        last,
        format!("{all} scenarios: {agree} agree, {differ} differ, {skipped} skipped")
    );
    assert_eq!((all, differ), (library().len(), 0));
    assert_eq!(agree + skipped, all);
}

#[test]
fn check_reads_files_and_folders() {
    let files = Files::new(&[("one.strace", RECORDED), ("more/two.strace", RECORDED)]);
    let one = files.path("one.strace");
    let last = |arguments: &[&str]| {
        let mut all = vec!["check", "--on", "model"];
        all.extend(arguments);
        let output = Lab::new(&all).succeeds();
        output.lines().last().unwrap_or_default().to_owned()
    };
    assert_eq!(last(&[&one]), "1 scenarios: 1 agree, 0 differ, 0 skipped");
    assert_eq!(
        last(&[&files.path("more"), &one, &files.path("")]),
        "4 scenarios: 4 agree, 0 differ, 0 skipped"
    );
}

#[test]
fn an_unknown_command_complains() {
    let complaint = Lab::new(&["chekc"]).complains();
    assert!(complaint.contains("'chekc'"), "{complaint}");
    assert!(complaint.contains("'check'"), "no suggestion: {complaint}");
    Lab::new(&[]).complains();
    Lab::new(&["run"]).complains();
    Lab::new(&["run", "--on", "minix", "-"]).complains();
}

#[test]
fn a_missing_file_is_named() {
    for command in ["run", "check", "fmt"] {
        let complaint = Lab::new(&[command, "no/such.strace"]).complains();
        assert!(
            complaint.contains("no/such.strace"),
            "{command}: {complaint}"
        );
    }
    let empty = Files::new(&[("nothing.txt", "")]);
    let complaint = Lab::new(&["check", &empty.path("")]).complains();
    assert!(complaint.contains("no .strace file"), "{complaint}");
}

#[test]
fn what_is_no_text_is_refused() {
    let files = Files::new(&[]);
    fs::write(files.path("a.strace"), b"close(3)\n\x7fELF\xff\xfe\x00").expect("written");
    for command in ["run", "check", "fmt"] {
        let complaint = Lab::new(&[command, &files.path("a.strace")]).complains();
        assert!(complaint.contains("a.strace:2: "), "{complaint}");
        assert!(complaint.contains("not UTF-8"), "{complaint}");
    }
}

#[test]
fn a_truncated_scenario_is_shown_where_it_ends() {
    // Wherever the text breaks off, it is a scenario or a mistake, and nothing worse.
    for end in (0..RECORDED.len()).step_by(7) {
        let text = &RECORDED[..end];
        let output = Lab::new(&["run", "--on", "model", "-"])
            .input(text)
            .output();
        let status = output.status.code();
        assert!(matches!(status, Some(0 | 2)), "{status:?} for {text:?}");
    }
    let complaint = Lab::new(&["run", "-"])
        .input("ep = epoll_create1(0)\nepoll_wait(ep, [{events=EPOLLIN, da")
        .complains();
    assert!(complaint.contains("--> -:2:"), "{complaint}");
    assert!(complaint.contains('^'), "{complaint}");
}

#[test]
fn an_unknown_call_is_pointed_at_and_the_right_one_proposed() {
    let complaint = Lab::new(&["run", "-"])
        .input("ep = epoll_create1(0)\nepoll_wiat(ep, [], 8, 0) = 0\n")
        .complains();
    for part in [
        "--> -:2:1",
        "epoll_wiat(ep, [], 8, 0) = 0",
        "^^^^^^^^^^",
        "did you mean `epoll_wait`?",
    ] {
        assert!(complaint.contains(part), "no {part:?} in {complaint}");
    }
}

#[test]
fn a_million_lines_are_read() {
    let line = "epoll_wait(3, [], 8, 0) = 0\n# What a program says of itself.\n";
    let long = format!("epoll_create1(0) = 3\n{}", line.repeat(50_000));
    let comments = "# And it says a lot.\n".repeat(900_000);
    let files = Files::new(&[("long.strace", &(long + &comments))]);
    let output = Lab::new(&["check", "--on", "model", &files.path("long.strace")]).succeeds();
    assert!(
        output.ends_with("1 agree, 0 differ, 0 skipped\n"),
        "{output}"
    );

    let files = Files::new(&[("wrong.strace", &"mmap(NULL, 4096) = 0\n".repeat(1_000_000))]);
    let complaint = Lab::new(&["run", &files.path("wrong.strace")]).complains();
    assert!(complaint.contains("wrong.strace:1:1"), "{complaint}");
    assert!(
        complaint.len() < 10_000,
        "{} bytes of complaints",
        complaint.len()
    );
}

#[test]
fn a_loop_that_would_never_end_is_refused() {
    let text = "repeat 1000000000000 {\n    epoll_create1(0)\n}\n";
    let complaint = Lab::new(&["run", "--on", "model", "-"])
        .input(text)
        .complains();
    assert!(complaint.contains("--> -:2:"), "{complaint}");
}

#[test]
fn a_wrong_expectation_is_shown_with_both_sides() {
    let output = Lab::new(&["run", "-"]).input(WRONG).differs();
    for part in [
        "-:3:1: the call had another result",
        "expected  epoll_ctl(ep, EPOLL_CTL_DEL, f, NULL) = 0\n",
        "happened  epoll_ctl(ep, EPOLL_CTL_DEL, f, NULL) = -1 ENOENT (No such file or directory)\n",
    ] {
        assert!(output.contains(part), "no {part:?} in {output}");
    }
    let files = Files::new(&[("wrong.strace", WRONG), ("right.strace", RECORDED)]);
    let output = Lab::new(&["check", &files.path("")]).differs();
    assert!(output.contains("wrong.strace:3:1"), "{output}");
    assert!(
        output.ends_with("\n2 scenarios: 1 agree, 1 differ, 0 skipped\n"),
        "{output}"
    );
}

#[test]
fn run_reads_standard_input_and_shows_every_line() {
    let output = Lab::new(&["run", "--on", "model", "-"])
        .input(OPEN)
        .succeeds();
    assert_eq!(output, format!("{RECORDED}# model agrees\n"));
}

#[test]
fn run_shows_what_happens_inside() {
    let text = "repeat 2 {\n    C = fork()\n    ep = epoll_create1(0)\n    close(ep) = 0\n}\n";
    let lab = Lab::new(&["run", "--on", "model", "--trace", "--state", "-"]);
    let output = lab.input(text).succeeds();
    assert!(
        output.starts_with("repeat 2 {\n    C = fork()\n"),
        "{output}"
    );
    assert!(
        output.contains("\n        __fput: last reference"),
        "{output}"
    );
    assert!(output.ends_with("\n}\n# model agrees\n"), "{output}");
}

#[test]
fn record_fills_in_results_and_has_nothing_to_do_the_second_time() {
    let lab = Lab::new(&["run", "--record", "-"]);
    assert_eq!(lab.input(OPEN).succeeds(), RECORDED);
    let lab = Lab::new(&["run", "--record", "-"]);
    assert_eq!(lab.input(RECORDED).succeeds(), RECORDED);

    let files = Files::new(&[("a.strace", OPEN)]);
    let path = files.path("a.strace");
    assert_eq!(
        Lab::new(&["run", "--record", &path]).succeeds(),
        format!("{path}\n")
    );
    assert_eq!(files.read("a.strace"), RECORDED);
    assert_eq!(Lab::new(&["run", "--record", &path]).succeeds(), "");
    assert_eq!(files.read("a.strace"), RECORDED);
}

#[test]
fn record_leaves_a_contradicted_file_alone() {
    let text = format!("{WRONG}epoll_wait(ep, ..., 8, 0)\n");
    let files = Files::new(&[("a.strace", &text)]);
    Lab::new(&["run", "--record", &files.path("a.strace")]).differs();
    assert_eq!(files.read("a.strace"), text);
}

/// One edge and two who ask for it.
const EITHER: &str = r#"
ep = epoll_create1(0)
f = eventfd2(1, EFD_NONBLOCK)
epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data={u32=7, u64=7}}) = 0
parallel {
    [A] a = epoll_wait(ep, ..., 8, 0) = ?
    [B] b = epoll_wait(ep, ..., 8, 0) = ?
}
forall (a=1 /\ b=0 \/ a=0 /\ b=1)
"#;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn races_say_how_often_each_outcome_came_about() {
    let lab = Lab::new(&[
        "explore", "--on", "both", "--runs", "60", "--seed", "9", "-",
    ]);
    let output = lab.input(EITHER).succeeds();
    let counts = output.lines().filter_map(|line| {
        let (count, _) = line.strip_prefix("observed")?.split_once(": outcome ")?;
        count.trim().parse::<u64>().ok()
    });
    let counts: Vec<u64> = counts.collect();
    assert_eq!((counts.len(), counts.iter().sum()), (2, 60), "{output}");
    assert!(output.contains("\nraced: 60 runs on Linux "), "{output}");
    assert!(
        output.contains(" of 2 outcomes observed, 0 outside\n"),
        "{output}"
    );
    let last = output.lines().last().unwrap_or_default();
    assert!(last.starts_with("explored: "), "{output}");

    let lab = Lab::new(&["explore", "--on", "both", "--runs", "3", "--json", "-"]);
    let json: serde_json::Value =
        serde_json::from_str(&lab.input(EITHER).succeeds()).expect("JSON");
    let observed = &json[0]["observed"];
    assert_eq!(observed["runs"], 3);
    assert_eq!(observed["outside"].as_array().map(Vec::len), Some(0));
}

/// A model that is wrong has to be told by the first race.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn an_outcome_that_is_not_possible_is_shown_with_what_is_nearest() {
    let races = ["explore", "--on", "both", "--runs", "4", "--no-edges", "-"];
    let output = Lab::new(&races).input(EITHER).differs();
    for part in [
        " in 4 runs on Linux ",
        " and is in no interleaving\n",
        "\n  nearest is outcome 1, where it is\n",
        "\n  --runs 1 --seed ",
    ] {
        assert!(output.contains(part), "no {part:?} in {output}");
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn run_shows_the_outcomes_and_that_races_keep_to_them() {
    let output = Lab::new(&["run", "-"]).input(EITHER).succeeds();
    assert!(output.starts_with("outcome 1\n"), "{output}");
    assert!(output.contains("\n# raced: 30 runs on Linux "), "{output}");
    assert!(output.contains("\n# model and Linux "), "{output}");
    assert!(output.ends_with(" agree\n"), "{output}");
}

#[test]
fn races_are_asked_for_with_on_both() {
    for wrong in [&["--runs", "5"][..], &["--seed", "5"], &["--on", "kernel"]] {
        let mut arguments = vec!["explore"];
        arguments.extend(wrong);
        arguments.push("-");
        let complaint = Lab::new(&arguments).input(EITHER).complains();
        assert!(complaint.contains("--on both"), "{complaint}");
    }
}

#[test]
fn fmt_writes_the_canonical_form_and_has_nothing_to_do_the_second_time() {
    let text = "pipe2([ r,w ],O_NONBLOCK)=0   # ends\n\n\nclose( r )   = 0\n";
    let canonical = "pipe2([r, w], O_NONBLOCK) = 0 # ends\n\n\nclose(r) = 0\n";
    assert_eq!(Lab::new(&["fmt", "-"]).input(text).succeeds(), canonical);

    let files = Files::new(&[("a.strace", text)]);
    let path = files.path("a.strace");
    let named = format!("{path}\n");
    assert_eq!(Lab::new(&["fmt", "--check", &path]).differs(), named);
    assert_eq!(files.read("a.strace"), text);
    assert_eq!(Lab::new(&["fmt", &path]).succeeds(), named);
    assert_eq!(files.read("a.strace"), canonical);
    assert_eq!(Lab::new(&["fmt", "--check", &path]).succeeds(), "");
    assert_eq!(Lab::new(&["fmt", &path]).succeeds(), "");
}

#[test]
fn json_is_for_programs() {
    let files = Files::new(&[("right.strace", RECORDED), ("wrong.strace", WRONG)]);
    let (right, wrong) = (files.path("right.strace"), files.path("wrong.strace"));
    let parse = |text: &str| -> serde_json::Value { serde_json::from_str(text).expect(text) };

    let lab = Lab::new(&["run", "--on", "model", "--json", &right, &wrong]);
    let runs = parse(&lab.differs());
    assert_eq!(runs[0]["agree"], true);
    assert_eq!(runs[0]["runs"][0]["kernel"], "model");
    assert_eq!(runs[1]["runs"][0]["failures"][0]["line"], 3);

    let checked = parse(&Lab::new(&["check", "--on", "model", "--json", &right]).succeeds());
    assert_eq!(checked["agree"], 1);
    assert_eq!(checked["scenarios"][0]["ending"], "agree");

    let laws = parse(&Lab::new(&["laws", "--json", "edge"]).succeeds());
    assert!(laws[0]["sentence"].is_string(), "{laws}");
}

#[test]
fn laws_are_listed_by_number_and_found_by_word() {
    let all = Lab::new(&["laws"]).succeeds();
    let first = all.lines().next().unwrap_or_default();
    assert!(first.trim_start().starts_with("1 "), "{first}");
    let one = Lab::new(&["laws", "37"]).succeeds();
    assert!(one.trim_start().starts_with("37 "), "{one}");
    assert!(one.contains("examples/scenarios/"), "{one}");
    assert!(one.len() < all.len() / 10, "{one}");
    assert_eq!(Lab::new(&["laws", "xyzzy"]).succeeds(), "");
    let untold = Lab::new(&["laws", "149"]).succeeds();
    assert!(
        untold.starts_with("not told:\n  149 needs io_submit(2)"),
        "{untold}"
    );
}

#[test]
fn a_wrong_epoll_answers_under_its_name() {
    let scenario = "\
ep = epoll_create1(0)
f = eventfd2(0, 0)
epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN, data={u32=1, u64=1}})
epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN, data={u32=2, u64=2}}) = -1 EEXIST (File exists)
";
    let run = |arguments: &[&str]| {
        let arguments = [&["run", "-", "--on"], arguments].concat();
        Lab::new(&arguments).input(scenario)
    };
    let right = run(&["model", "--fifo-waiters", "--no-edges"]).succeeds();
    assert!(
        right.ends_with("# model --fifo-waiters --no-edges agrees\n"),
        "{right}"
    );
    let wrong = run(&["model", "--add-overwrites", "--without", "ovflist"]).differs();
    assert!(
        wrong.contains("(model --without ovflist --add-overwrites)"),
        "{wrong}"
    );
    assert!(wrong.contains("unlike Linux: --add-overwrites"), "{wrong}");
    let message = run(&["kernel", "--fifo-waiters"]).complains();
    assert!(
        message.contains("--fifo-waiters is a mistake of the model"),
        "{message}"
    );
    let message = run(&["model", "--without", "rdllist"]).complains();
    assert!(message.contains("possible values: ovflist"), "{message}");
}

#[test]
fn the_tables_can_be_read_by_people_pages_and_programs() {
    let table = |more: &[&str]| {
        let mut arguments = vec!["table", "pipe-read", "--on", "model"];
        arguments.extend(more);
        Lab::new(&arguments).succeeds()
    };
    let (text, edges) = (table(&[]), table(&["--edges"]));
    assert!(text.starts_with("pipe, read end  "), "{text}");
    let last = text.lines().last().unwrap_or_default();
    assert!(last.ends_with(" agree, 0 differ, 0 skipped"), "{last}");
    assert!(
        has_row(&text, "closed data left, no writer IN|HUP RDNORM"),
        "{text}"
    );
    assert!(has_row(&edges, "write that fails IN -"), "{edges}");
    let markdown = table(&["--markdown"]);
    let row = "\n| closed | data left, no writer | `IN\\|HUP` | `RDNORM` |\n";
    assert!(
        markdown.starts_with("### pipe, read end\n\n| stage |"),
        "{markdown}"
    );
    assert!(markdown.contains(row), "{markdown}");
    let json: serde_json::Value = serde_json::from_str(&table(&["--json"])).expect("JSON");
    assert_eq!(json[1]["name"], "pipe-read-end/data/one-byte");
    assert_eq!(json[1]["told"]["model"][0]["events"], "EPOLLIN|EPOLLRDNORM");
}

/// Whether a line has these words, however wide its columns are.
fn has_row(text: &str, row: &str) -> bool {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().any(|line| words(line) == row)
}

#[test]
fn what_stands_behind_a_row_is_a_scenario() {
    let shown = Lab::new(&["table", "--edges", "--show", "eventfd/data/counter-1/read"]).succeeds();
    let run = Lab::new(&["run", "--on", "model", "-"])
        .input(&shown)
        .succeeds();
    assert!(
        run.contains("{events=EPOLLOUT, data={u32=0, u64=0}}], 1, 0) = 1\n# model"),
        "{run}"
    );
    let several = Lab::new(&["table", "--show", "eventfd/data"]).complains();
    assert!(
        several.contains("\n  eventfd/data/counter-1\n"),
        "{several}"
    );
    Lab::new(&["table", "--show", "no-such-row"]).complains();
    let kinds = Lab::new(&["table", "no-such-kind"]).complains();
    assert!(kinds.contains("pipe-read-end, "), "{kinds}");
}

#[test]
fn a_wrong_epoll_fills_the_tables_differently() {
    let wrong = ["table", "eventfd", "--edges", "--state-diff-edges", "--on"];
    let model = Lab::new(&[&wrong[..], &["model"]].concat()).succeeds();
    assert!(has_row(&model, "write of 0 - -"), "{model}");
    assert!(!has_row(&model, "write of 0 IN -"), "{model}");
    Lab::new(&[&wrong[..], &["kernel"]].concat()).complains();
}

#[test]
fn variants_are_listed_with_what_tells_them() {
    let one = Lab::new(&["variants", "--fifo-waiters"]).succeeds();
    for part in [
        "--fifo-waiters\n",
        "    Linux puts it in front",
        "      the-last-to-block-is-the-first-to-be-woken\n",
    ] {
        assert!(one.contains(part), "no {part:?} in {one}");
    }
    let json = Lab::new(&["variants", "fifo-waiters", "--json"]).succeeds();
    let told: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(told[0]["switch"], "--fifo-waiters");
    assert_eq!(Lab::new(&["variants", "xyzzy"]).succeeds(), "");
}

#[test]
fn a_pipe_gets_no_colours_unless_it_asks() {
    let colours = |set: &[(&str, &str)], arguments: &[&str], input: &str| {
        let mut lab = Lab::new(arguments);
        lab.command.envs(set.iter().copied());
        let output = lab.input(input).output();
        [output.stdout, output.stderr].map(|bytes| bytes.contains(&0x1b))
    };
    let force = ("CLICOLOR_FORCE", "1");
    let wrong: (&[&str], &str) = (&["run", "-"], WRONG);
    let mistake: (&[&str], &str) = (&["run", "-"], "nonsense\n");
    for (arguments, input) in [wrong, mistake, (&["laws"], ""), (&["chekc"], "")] {
        assert_eq!(colours(&[], arguments, input), [false; 2], "{arguments:?}");
        let unwanted = colours(&[force, ("NO_COLOR", "1")], arguments, input);
        assert_eq!(unwanted, [false; 2], "{arguments:?} with NO_COLOR");
    }
    assert_eq!(colours(&[force], wrong.0, wrong.1), [true, false]);
    assert_eq!(colours(&[force], mistake.0, mistake.1), [false, true]);
}

/// As `epoll-lab laws | head -1`, without the luck of who is faster.
#[test]
fn whoever_closes_the_pipe_has_seen_enough() {
    for arguments in [&["laws"][..], &["check", "--on", "model", "--json"]] {
        let (reader, writer) = pipe().expect("a pipe");
        drop(reader);
        let mut lab = Lab::new(arguments);
        lab.command.stdout(writer).stderr(Stdio::piped());
        let child = lab.command.spawn().expect("the program starts");
        let output = child.wait_with_output().expect("the program ends");
        assert_eq!(output.status.code(), Some(141), "{arguments:?}");
        assert_eq!(text(output.stderr), "", "{arguments:?}");
    }
}

/// One call of the program.
pub(crate) struct Lab {
    command: Command,
    input: String,
}

impl Lab {
    pub(crate) fn new(arguments: &[&str]) -> Lab {
        let mut command = Command::new(env!("CARGO_BIN_EXE_epoll-lab"));
        command.args(arguments);
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null());
        let input = String::new();
        Lab { command, input }
    }

    /// What it reads from standard input.
    pub(crate) fn input(mut self, text: &str) -> Lab {
        text.clone_into(&mut self.input);
        self
    }

    fn output(mut self) -> Output {
        self.command.stdin(Stdio::piped());
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe to it");
        // Inputs fit into the pipe; a program that does not want them may have closed it.
        let _ = stdin.write_all(self.input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("the program ends")
    }

    /// What it prints, quietly and with status 0.
    #[track_caller]
    pub(crate) fn succeeds(self) -> String {
        self.prints(0)
    }

    /// The same with status 1.
    #[track_caller]
    pub(crate) fn differs(self) -> String {
        self.prints(1)
    }

    /// What it prints and what it says of a difference, with status 1.
    #[track_caller]
    pub(crate) fn differs_aloud(self) -> (String, String) {
        let output = self.output();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
        (stdout, stderr)
    }

    #[track_caller]
    fn prints(self, status: i32) -> String {
        let Output {
            status: actual,
            stdout,
            stderr,
        } = self.output();
        let (stdout, stderr) = (text(stdout), text(stderr));
        assert_eq!(actual.code(), Some(status), "{stdout}{stderr}");
        assert_eq!(stderr, "");
        stdout
    }

    /// What it says when it exits with status 2, without having printed anything.
    #[track_caller]
    pub(crate) fn complains(self) -> String {
        let output = self.output();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(2), "{stdout}{stderr}");
        assert_eq!(stdout, "");
        assert!(!stderr.contains("panicked"), "{stderr}");
        stderr
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the program prints text")
}

/// A folder with files in it, gone at the end of the test.
struct Files(TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Files {
        let folder = Files(TempDir::new().expect("a folder for temporary files"));
        for (name, text) in files {
            let path = PathBuf::from(folder.path(name));
            fs::create_dir_all(path.parent().expect("a folder")).expect("created");
            fs::write(path, text).expect("written");
        }
        folder
    }

    fn path(&self, name: &str) -> String {
        let path = self.0.path().join(name);
        path.to_str().expect("a path of UTF-8").to_owned()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("readable")
    }
}
