//! What directives show, and what is said when they cannot.

use std::io::Write;
use std::process::{Command, Stdio};

use epoll_lab_book::Lab;
use scraper::{Html, Selector};
use serde_json::{Value, json};

use crate::OneChapter;

const ASKED: Lab = Lab { recorded: false };
const RECORDED: Lab = Lab { recorded: true };

fn page(chapter: &str) -> Html {
    page_of(chapter, ASKED)
}

fn page_of(chapter: &str, lab: Lab) -> Html {
    let page = OneChapter::new(chapter).build(lab);
    Html::parse_document(&page.unwrap_or_else(|error| panic!("{error}")))
}

#[track_caller]
fn refused(chapter: &str) -> String {
    match OneChapter::new(chapter).build(ASKED) {
        Ok(_) => panic!("this was built:\n{chapter}"),
        Err(error) => error,
    }
}

fn texts(page: &Html, selector: &str) -> Vec<String> {
    let selector = Selector::parse(selector).expect("a selector");
    let found = page.select(&selector);
    found
        .map(|element| element.text().collect::<String>())
        .collect()
}

const EDGE: &str = "\
ep = epoll_create1(0)
f = eventfd2(1, EFD_NONBLOCK)
epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data={u32=7, u64=7}}) = 0
# Nobody reads.
epoll_wait(ep, [{events=EPOLLIN, data={u32=7, u64=7}}], 8, 0) = 1
epoll_wait(ep, [], 8, 0) = 0
";

fn inline(head: &str) -> String {
    format!("# One\n\n```lab {head}\n{EDGE}```\n\nText.\n")
}

#[test]
fn a_transcript_shows_who_gave_which_answer() {
    let page = page(&inline("transcript caption=\"An *edge*.\""));
    let calls = texts(&page, ".lab-call");
    assert_eq!(calls.len(), 5, "{calls:?}");
    assert_eq!(calls[4], "epoll_wait(ep, [], 8, 0) = 0");
    assert_eq!(texts(&page, ".lab-comment").len(), 1);
    assert_eq!(texts(&page, "figcaption em"), ["edge"]);
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        let who = texts(&page, "th.lab-who");
        assert_eq!(who, ["model".to_owned(), epoll_lab::kernel::machine_name()]);
        assert_eq!(texts(&page, "td.lab-so").len(), 10);
    }
    assert!(texts(&page, "main p").contains(&"Text.".to_owned()));
}

#[test]
fn a_transcript_of_a_file_can_show_some_lines_and_the_inside() {
    let name = "04-trigger/edge-triggered-write-without-drain-reports-again";
    let chapter = format!("```lab transcript {name} lines=6..7 trace\n```\n");
    let page = page(&chapter);
    assert_eq!(texts(&page, ".lab-call").len(), 2);
    let inside = texts(&page, ".lab-inside li");
    assert!(
        inside.iter().any(|step| step.contains("ep_insert")),
        "{inside:?}"
    );
    let whole = format!("```lab transcript {name} lines=90..99\n```\n");
    assert!(refused(&whole).contains("no line of the scenario is shown"));
}

#[test]
fn a_wrong_model_stands_beside_linux_and_must_differ() {
    let name = "04-trigger/edge-triggered-write-without-drain-reports-again";
    let page = page(&format!(
        "```lab transcript {name} wrong=state-diff-edges\n```\n"
    ));
    let differing = texts(&page, ".lab-differs");
    assert!(
        !differing.is_empty() && differing.len().is_multiple_of(2),
        "{differing:?}"
    );
    assert!(texts(&page, "th.lab-who")[0].contains("state-diff-edges"));

    let error = refused(&inline("transcript wrong=fifo-waiters"));
    assert!(error.contains("changes nothing here"), "{error}");
    let error = refused(&inline("transcript wrong=no-such"));
    assert!(
        error.contains("the model has no mistake `no-such`"),
        "{error}"
    );
}

#[test]
fn without_linux_what_was_recorded_is_shown_and_said() {
    let name = "04-trigger/edge-triggered-write-without-drain-reports-again";
    let page = page_of(&format!("```lab transcript {name}\n```\n"), RECORDED);
    assert_eq!(texts(&page, "th.lab-who"), ["model", "Linux, recorded"]);
    assert!(texts(&page, ".lab-provenance")[0].contains("without Linux"));
    let wrong = format!("```lab transcript {name} wrong=state-diff-edges\n```\n");
    let told = texts(&page_of(&wrong, RECORDED), ".lab-differs");
    assert_eq!(told, texts(&self::page(&wrong), ".lab-differs"));
    let page = page_of(&inline("transcript"), RECORDED);
    assert_eq!(texts(&page, "th.lab-who"), ["model", "as written"]);
}

#[test]
fn a_result_that_is_not_so_ends_the_build_at_its_line() {
    let chapter = inline("transcript").replace("[], 8, 0) = 0", "[], 8, 0) = 1");
    let chapter = format!("# T\n\n{chapter}");
    // The array is empty and the result is 1: that is no scenario.
    assert!(refused(&chapter).contains("src/one.md:"));

    let chapter = inline("transcript").replace("EPOLLIN|EPOLLET, data", "EPOLLIN, data");
    let error = refused(&chapter);
    assert!(error.contains("src/one.md:9:1"), "{error}");
    assert!(error.contains("epoll_wait(ep, [], 8, 0) = 0"), "{error}");
    assert!(error.contains("^^^^"), "{error}");
    assert!(
        error.contains("happened  epoll_wait(ep, [{events=EPOLLIN"),
        "{error}"
    );
}

#[test]
fn mistakes_in_directives_are_shown_where_they_stand() {
    for (chapter, place, sentence) in [
        ("x\n\n```lab\n```\n", "one.md:3", "what it is to show"),
        (
            "```lab transcrpt x\n```\n",
            "one.md:1:8",
            "no directive `transcrpt`",
        ),
        (
            "```lab transcript\n```\n",
            "one.md:1:8",
            "is about a scenario",
        ),
        (
            "```lab transcript 04-trigger/nowhere\n```\n",
            "one.md:1:19",
            "there is no scenario",
        ),
        (
            "```lab transcript ../../Cargo\n```\n",
            "one.md:1:19",
            "there is no scenario",
        ),
        (
            "```lab transcript lines=9..4\nsync()\n```\n",
            "one.md:1:25",
            "no range of lines",
        ),
        (
            "```lab transcript a colour=red\nx\n```\n",
            "one.md:1:19",
            "names no other",
        ),
        (
            "```lab transcript\nep = epoll_creat1(0)\n```\n",
            "one.md:2:6",
            "epoll_creat1",
        ),
        (
            "```lab state\nep = epoll_create1(0)\n```\n",
            "one.md:1:8",
            "after a line",
        ),
        (
            "```lab state line=7\nep = epoll_create1(0)\n```\n",
            "one.md:1:19",
            "nothing happens in line 7",
        ),
        (
            "```lab figure parts=trees\nep = epoll_create1(0)\n```\n",
            "one.md:1:21",
            "no part `trees`",
        ),
        (
            "```lab figure colour=red\nep = epoll_create1(0)\n```\n",
            "one.md:1:15",
            "means nothing to",
        ),
        (
            "```lab exercise no-such\n```\n",
            "one.md:1:17",
            "no exercise `no-such`",
        ),
        (
            "```lab exercise quiet-again\ntext\n```\n",
            "one.md:2:1",
            "no text of its own",
        ),
        ("```lab example no_such\n```\n", "one.md:1:16", "no program"),
        (
            "```lab example first_look anchor=x\n```\n",
            "one.md:1:34",
            "no anchor `x`",
        ),
        (
            "```lab predict\nWhy?\n- [x] a\n  b\n- [ ] c\n  d\n```\n",
            "one.md:1:8",
            "ends with what is the case",
        ),
        (
            "```lab predict\nWhy?\n- [x] a\n- [ ] c\n  d\nreveal: transcript x\n```\n",
            "one.md:3:1",
            "says why",
        ),
        (
            "```lab predict\nWhy?\n- [ ] a\n  b\n- [ ] c\n  d\nreveal: transcript x\n```\n",
            "one.md:1:8",
            "one choice is right",
        ),
        (
            "```lab predict\nWhy?\n- [x] a\n  b\n- [ ] c\n  d\nreveal: transcript x/y\n```\n",
            "one.md:7:20",
            "no scenario `x/y`",
        ),
        (
            "```lab outcomes\nep = epoll_create1(0)\n~exists (a=1)\n```\n",
            "one.md:3",
            "",
        ),
    ] {
        let error = refused(chapter);
        assert!(
            error.contains(place),
            "{chapter}\n{place} is not in\n{error}"
        );
        assert!(
            error.contains(sentence),
            "{chapter}\n{sentence} is not in\n{error}"
        );
    }
}

#[test]
fn all_mistakes_of_a_book_are_told_at_once() {
    let error = refused("```lab one\n```\n\n```lab two\n```\n");
    assert!(
        error.contains("`one`") && error.contains("`two`"),
        "{error}"
    );
}

#[test]
fn a_name_that_is_nearly_right_is_corrected() {
    let error =
        refused("```lab transcript 05-other/level-triggered-repeats-until-it-is-drained\n```\n");
    let meant = "did you mean `04-trigger/level-triggered-repeats-until-drained`";
    assert!(error.contains(meant), "{error}");
}

#[test]
fn a_figure_and_a_state_are_pictures() {
    let page = page(&format!(
        "{}\n{}",
        inline("figure"),
        inline("state line=3 parts=epolls")
    ));
    let figures = Selector::parse(".lab-figure").expect("a selector");
    let ids: Vec<_> = page
        .select(&figures)
        .filter_map(|it| it.attr("id"))
        .collect();
    assert_eq!(ids, ["lab-one-1", "lab-one-2"]);
    assert!(!texts(&page, ".lab-still svg").is_empty());
    let data = texts(&page, ".lab-figure script").concat();
    let data: Value = serde_json::from_str(&data).expect("JSON comes through");
    assert!(data.is_object());
}

#[test]
fn outcomes_are_all_there_are() {
    let chapter = r#"```lab outcomes
ep = epoll_create1(0)
f = eventfd2(0, EFD_NONBLOCK)
epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data={u32=7, u64=7}}) = 0
parallel {
    [A] a = epoll_wait(ep, ..., 8, 0) = ?
    write(f, "\1\0\0\0\0\0\0\0", 8) = 8
}
exists (a=1)
```
"#;
    let shown = page(chapter);
    let titles = texts(&shown, ".lab-outcomes th");
    assert_eq!(titles, ["always", "outcome 1", "outcome 2", "asked"]);
    let error = refused(&chapter.replace("exists (a=1)", "forall (a=1)"));
    assert!(error.contains("one.md:9"), "{error}");
    let recorded = page_of(chapter, RECORDED);
    assert!(texts(&recorded, ".lab-provenance")[0].contains("No threads raced"));
}

#[test]
fn a_table_is_filled_on_both_kernels() {
    let shown = page("```lab table pipe-read-end caption=\"A *pipe*.\"\n```\n");
    assert!(texts(&shown, ".lab-table tr").len() > 4);
    let cells = texts(&shown, ".lab-table td code");
    assert!(cells.contains(&"IN".to_owned()), "{cells:?}");
    assert!(texts(&shown, ".lab-provenance")[0].contains("scenarios, run on the model"));
    let edges = page("```lab table pipe-read-end edges\n```\n");
    assert_eq!(texts(&edges, ".lab-table th")[2], "watcher of IN");
    let recorded = page_of("```lab table pipe-read-end\n```\n", RECORDED);
    assert!(texts(&recorded, ".lab-provenance")[0].contains("not on Linux"));
    let error = refused("```lab table pipe\n```\n");
    assert!(error.contains("known are pipe-read-end"), "{error}");
}

#[test]
fn a_prediction_works_without_scripts() {
    let chapter = format!(
        "```lab predict\nIs it `1`?\n- [x] Yes.\n  It is *so*.\n- [ ] No.\n  Not `0`.\nreveal: transcript\n{EDGE}```\n"
    );
    let page = page(&chapter);
    assert_eq!(texts(&page, ".lab-question p"), ["Is it 1?"]);
    assert_eq!(texts(&page, ".lab-choice > summary"), ["Yes.", "No."]);
    assert_eq!(texts(&page, ".lab-wrong p code"), ["0"]);
    assert_eq!(texts(&page, ".lab-reveal .lab-call").len(), 5);
}

#[test]
fn an_exercise_shows_its_task_and_hides_its_solution() {
    let page = page("```lab exercise quiet-again\n```\n");
    assert!(texts(&page, ".lab-title")[0].contains("quiet again"));
    assert_eq!(texts(&page, ".lab-exercise > pre").len(), 2);
    assert!(texts(&page, "details pre")[0].contains("read(r"));
}

#[test]
fn mdbook_can_call_it_as_a_program() {
    let call = |arguments: &[&str], input: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_epoll-lab-book"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stdin = program.stdin.take().expect("a pipe");
        stdin.write_all(input.as_bytes()).expect("it reads");
        drop(stdin);
        program.wait_with_output().expect("it ends")
    };
    assert!(call(&["supports", "html"], "").status.success());
    assert_eq!(call(&["supports", "xgettext"], "").status.code(), Some(1));

    let chapter = json!({
        "name": "One", "content": inline("transcript"), "number": null, "sub_items": [], "path": "one.md",
        "source_path": "one.md", "parent_names": [],
    });
    let context = json!({
        "root": crate::project().join("book/en"), "renderer": "html",
        "mdbook_version": mdbook_preprocessor::MDBOOK_VERSION,
        "config": {"book": {"src": "src"}, "preprocessor": {"lab": {"command": "x", "project": "../.."}}},
    });
    let input = json!([context, {"items": [{"Chapter": chapter}]}]);
    let output = call(&[], &input.to_string());
    assert!(output.status.success());
    let book: Value = serde_json::from_slice(&output.stdout).expect("a book");
    let content = book["items"][0]["Chapter"]["content"]
        .as_str()
        .expect("text");
    assert!(
        content.contains("<figure class=\"lab-transcript\""),
        "{content}"
    );
}

#[test]
fn what_the_readme_shows_of_a_chapter_is_one() {
    let readme = std::fs::read_to_string(crate::project().join("README.md"));
    let readme = readme.expect("it is there");
    let (_, rest) = readme.split_once("````markdown\n").expect("an example");
    let (chapter, _) = rest.split_once("````").expect("its end");
    let page = page(chapter);
    assert!(!texts(&page, ".lab-transcript td").is_empty());
    assert!(!texts(&page, ".lab-figure svg").is_empty());
}
