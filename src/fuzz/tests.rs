use super::*;
use crate::backend::{Backend, LabError};
use crate::model::{Model, Variant, Variants};
use crate::scenario::Scenario;

fn parse(text: &str) -> Scenario {
    match Scenario::parse(text) {
        Ok(scenario) => scenario,
        Err(errors) => panic!("{text}\n{}", errors[0]),
    }
}

/// Beside a model that is wrong in this way, in place of a running kernel.
fn beside(text: &str, variants: Variants) -> Judgement {
    let mut fresh = || -> Result<Box<dyn Backend>, LabError> {
        Ok(Box::new(Model::new().with_variants(variants)))
    };
    judge(&parse(text), &mut fresh, None).expect("a lab")
}

#[test]
fn a_seed_is_a_program_that_can_be_read() {
    for tasks in [1, 3] {
        let drawing = Drawing {
            tasks,
            ..Drawing::default()
        };
        for seed in 0..500 {
            let text = draw(seed, drawing);
            assert_eq!(text, draw(seed, drawing));
            assert_eq!(parse(&text).is_parallel(), tasks > 1, "{text}");
        }
    }
}

#[test]
fn only_the_kinds_that_were_asked_for_are_opened() {
    let files: Files = "eventfd, pipe".parse().expect("two kinds");
    assert_eq!(files.to_string(), "pipe,eventfd");
    let drawing = Drawing {
        files,
        ..Drawing::default()
    };
    for seed in 0..100 {
        let text = draw(seed, drawing);
        assert!(
            !text.contains("socket") && !text.contains("timerfd"),
            "{text}"
        );
    }
    let error = "pipe,fork".parse::<Files>().expect_err("no kind");
    assert!(
        error.contains("`fork`") && error.contains("eventfd"),
        "{error}"
    );
}

/// Programs that find nothing wrong with a wrong epoll would be worth nothing.
#[test]
fn a_wrong_epoll_is_found_and_the_program_made_small() {
    for (wrong, most_lines) in [
        (Variant::StateDiffEdges, 12),
        (Variant::RequeueAtHead, 12),
        (Variant::EagerRemoval, 12),
    ] {
        let variants = wrong.into();
        let differs = |text: &str| match Scenario::parse(text) {
            Ok(_) => matches!(beside(text, variants), Judgement::Differs(_)),
            Err(_) => false,
        };
        let found = (0..3000)
            .map(|seed| draw(seed, Drawing::default()))
            .find(|text| differs(text));
        let found = found.unwrap_or_else(|| panic!("nothing tells {wrong:?} from Linux"));
        let small = shrink(&found, &mut |text| differs(text));
        assert!(differs(&small));
        assert!(small.lines().count() <= most_lines, "{wrong:?}:\n{small}");
    }
}

#[test]
fn a_model_is_like_itself_step_by_step() {
    let mut coverage = Coverage::default();
    for seed in 0..200 {
        let scenario = parse(&draw(seed, Drawing::default()));
        let mut fresh = || -> Result<Box<dyn Backend>, LabError> { Ok(Box::new(Model::new())) };
        let judgement = judge(&scenario, &mut fresh, Some(&mut coverage)).expect("a lab");
        assert!(
            matches!(judgement, Judgement::Same(_)),
            "seed {seed}: {judgement:?}"
        );
    }
    let table = coverage.table();
    assert!(
        table.contains("ep_poll: PutEvent") && table.contains("Callback Queued"),
        "{table}"
    );
    assert!(
        !coverage
            .unreached()
            .contains(&"ep_poll: PutEvent".to_owned())
    );
}

#[test]
fn shrinking_leaves_what_matters() {
    let text = "a = b(1)\n[T3] write(f, \"12\", 4096|O_X)\nclose(99)\n";
    let small = shrink(text, &mut |text| {
        text.contains("write") && text.contains("12")
    });
    assert_eq!(small, "write(f, \"12\", 0)\n");
}
