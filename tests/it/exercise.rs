//! Every exercise can be solved, and is not solved by what people get wrong.

use epoll_lab::backend::{Backend, LabError};
use epoll_lab::exercise::{Exercise, exercises};
use epoll_lab::model::Model;
use epoll_lab::scenario::Fresh;

use crate::cli::Lab;

/// Both kernels, where there are both.
fn on_each_kernel(check: impl Fn(&mut Fresh<'_>)) {
    check(&mut || -> Result<Box<dyn Backend>, LabError> { Ok(Box::new(Model::new())) });
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    check(&mut || -> Result<Box<dyn Backend>, LabError> {
        Ok(Box::new(epoll_lab::kernel::Linux::new()?))
    });
}

#[test]
fn solutions_are_accepted() {
    for Exercise { name, .. } in exercises() {
        println!("{name}");
    }
    for exercise in exercises() {
        on_each_kernel(|fresh| {
            let objections = exercise.check(&exercise.solution, fresh);
            assert_eq!(objections.as_deref(), Ok(&[][..]), "{}", exercise.name);
        });
    }
}

#[test]
fn known_mistakes_are_rejected_with_a_reason() {
    for exercise in exercises() {
        let Exercise { name, wrong, .. } = &exercise;
        assert!(wrong.len() >= 2, "{name} knows two mistakes at least");
        for (mistake, answer) in wrong {
            on_each_kernel(|fresh| {
                let objections = exercise.check(answer, fresh).expect("a scenario");
                let first = objections.first();
                let objection = first.unwrap_or_else(|| panic!("{name} accepts {mistake}"));
                assert_ne!(
                    objection.sentence, "What follows does not hold.",
                    "{name}: {mistake}"
                );
            });
        }
    }
}

#[test]
fn doing_nothing_solves_nothing() {
    for exercise in exercises() {
        on_each_kernel(|fresh| {
            let objections = exercise.check(&exercise.start, fresh).expect("a scenario");
            assert!(!objections.is_empty(), "{}", exercise.name);
        });
    }
}

#[test]
fn an_answer_to_something_else_is_no_answer() {
    let exercises = exercises();
    let [first, second, ..] = &*exercises else {
        panic!("there are exercises");
    };
    on_each_kernel(|fresh| {
        let objections = first.check(&second.solution, fresh).expect("a scenario");
        assert!(
            objections[0].sentence.contains("begins with"),
            "{objections:?}"
        );
    });
}

#[test]
fn a_rule_that_cannot_be_run_behind_an_answer_is_no_solution() {
    let files = [
        ("task.md", "# T\n\nx"),
        ("start.strace", "f = eventfd2(1, EFD_NONBLOCK)\n"),
        ("rule.strace", "read(g, ..., 8) = 8\n"),
        ("solution.strace", ""),
    ];
    let exercise = Exercise::new("t", &files).expect("all files are there");
    on_each_kernel(|fresh| {
        let objections = exercise.check("f = eventfd2(1, EFD_NONBLOCK)\n", fresh);
        let objections = objections.expect("a scenario");
        assert!(
            objections[0].sentence.contains("cannot be run"),
            "{objections:?}"
        );
    });
}

#[test]
fn incomplete_exercises_say_what_they_lack() {
    let says = |files: &[(&str, &str)]| {
        Exercise::new("t", files)
            .expect_err("incomplete")
            .to_string()
    };
    assert_eq!(says(&[]), "exercise t has no task.md");
    assert_eq!(says(&[("task.md", "x\n")]), "the task of t has no title");
    let rule = |rule| {
        says(&[
            ("task.md", "# T\n\nx"),
            ("rule.strace", rule),
            ("start.strace", ""),
            ("solution.strace", ""),
        ])
    };
    assert_eq!(
        rule("# at most: many\n"),
        "t: `# at most: many` has no number".replace("# ", "")
    );
    assert_eq!(
        rule("# cals: read\n"),
        "t: a rule does not say `cals: read`"
    );
}

#[test]
fn the_program_lists_shows_and_begins_exercises() {
    let list = Lab::new(&["exercise"]).succeeds();
    assert_eq!(list.lines().count(), exercises().len());
    let shown = Lab::new(&["exercise", "quiet-again"]).succeeds();
    assert!(
        shown.contains("level-triggered epoll reports it"),
        "{shown}"
    );
    let start = Lab::new(&["exercise", "quiet-again", "--start"]).succeeds();
    assert!(start.starts_with("ep = epoll_create1(0)\n"), "{start}");
}

#[test]
fn the_program_says_what_is_still_wrong() {
    let exercises = exercises();
    let exercise = exercises.iter().find(|it| it.name == "quiet-again");
    let exercise = exercise.expect("it is there");
    let check = |answer: &str| Lab::new(&["exercise", "quiet-again", "-"]).input(answer);
    assert!(
        check(&exercise.solution)
            .succeeds()
            .starts_with("quiet-again is solved, on the model")
    );
    let said = check(&exercise.start).differs();
    assert!(said.contains("-: It is still reported"), "{said}");
    assert!(said.ends_with("quiet-again is not solved yet\n"), "{said}");
    let said = check(&format!("{}read(r, \"x\", 1) = 1\n", exercise.start)).differs();
    assert!(said.starts_with("-:6: "), "{said}");
    assert!(check("read(\n").complains().contains("-:1:"));
    let unknown = Lab::new(&["exercise", "no-such"]).complains();
    assert!(
        unknown.contains("there is no exercise no-such"),
        "{unknown}"
    );
}
