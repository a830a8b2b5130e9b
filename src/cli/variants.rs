//! Wrong epolls: the options that choose one, and `epoll-lab variants`, which tells what they are for.

use std::collections::BTreeMap;

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};

use super::judge::On;
use super::needs;
use super::terminal::{BOLD, FAINT, complain, outln, styled};
use super::{Unusable, Verdict, json};
use crate::explore::Explorer;
use crate::model::{Model, Variant, Variants};
use crate::scenario::{Entry, Options, Scenario, library};

/// List the wrong epolls: what each does, and which scenarios tell it from Linux.
///
/// Each is a switch of run and check, and works on the model only. Several can be combined.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    epoll-lab variants\n  \
    epoll-lab variants fifo-waiters\n  \
    epoll-lab run --trace --on model --fifo-waiters my.strace")]
pub(super) struct Arguments {
    /// Only those whose switch or description contains this, with all that there is to say
    #[arg(allow_hyphen_values = true)]
    word: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A mistake, and the scenarios that fail because of it.
#[derive(Debug)]
pub struct Told {
    /// The mistake.
    pub variant: Variant,
    /// First the one that is about the rule, then the most particular: those that tell the fewest other
    /// mistakes.
    pub by: Vec<&'static str>,
}

/// The scenario to look at first: the one that is about the rule.
const FIRST: &[(Variant, &str)] = &[
    (
        Variant::WithoutOvflist,
        "an-edge-during-the-scan-is-reported-again",
    ),
    (
        Variant::FifoWaiters,
        "the-last-to-block-is-the-first-to-be-woken",
    ),
    (
        Variant::StateDiffEdges,
        "edge-triggered-write-without-drain-reports-again",
    ),
    (
        Variant::EagerRemoval,
        "a-stale-file-not-met-keeps-its-place",
    ),
    (
        Variant::NoRecheckBeforeSleep,
        "a-wake-up-between-the-look-and-the-sleep-is-not-lost",
    ),
    (
        Variant::NoChainedWake,
        "a-level-triggered-file-nobody-drains-wakes-every-thread",
    ),
    (
        Variant::RequeueAtHead,
        "a-small-maxevents-rotates-through-the-ready-files",
    ),
    (
        Variant::NoKeyFilter,
        "a-wake-for-readers-leaves-writers-alone",
    ),
    (Variant::ForgetErrHup, "err-and-hup-are-always-asked-for"),
    (
        Variant::DelByFd,
        "a-reused-number-stands-beside-its-phantom",
    ),
    (
        Variant::OneshotClearsFiredBits,
        "oneshot-disables-the-whole-descriptor",
    ),
    (
        Variant::EinvalBeforeEperm,
        "a-file-without-poll-is-not-permitted",
    ),
    (Variant::NoPollOnAdd, "adding-a-ready-file-is-an-edge"),
    (
        Variant::NoPollOnMod,
        "mod-of-a-ready-edge-triggered-file-reports-again",
    ),
    (Variant::AddOverwrites, "a-second-add-changes-nothing"),
    (Variant::CloseByFd, "closing-one-duplicate-leaves-a-phantom"),
    (
        Variant::IgnoreExclusive,
        "one-write-wakes-one-exclusive-epoll",
    ),
    (Variant::WakeAllWaiters, "an-edge-wakes-exactly-one-thread"),
    (Variant::NoWakeIfQueued, "every-inner-wake-is-an-outer-edge"),
    (Variant::LifoReady, "delivery-order-is-wake-order"),
    (Variant::SortByFd, "delivery-order-is-wake-order"),
    (
        Variant::NoEdges,
        "edge-triggered-partial-read-reports-nothing",
    ),
    (Variant::NoLevels, "level-triggered-repeats-until-drained"),
    (Variant::ReportInterest, "an-event-shows-all-that-is-ready"),
    (Variant::FaultLosesEvents, "a-bad-buffer-loses-no-event"),
    (
        Variant::DropBeyondMaxevents,
        "a-small-maxevents-rotates-through-the-ready-files",
    ),
    (
        Variant::VainWakeReturns,
        "a-vain-wake-does-not-end-the-wait",
    ),
];

/// How many scenarios are named where there is no room for all.
const A_FEW: usize = 3;

pub(super) fn variants(arguments: &Arguments) -> Result<Verdict, Unusable> {
    let told = match &arguments.word {
        None => told(Variant::ALL),
        Some(word) => told(&containing(word)),
    };
    if arguments.json {
        outln!("{}", json::variants(&told));
        return Ok(Verdict::Agree);
    }
    for Told { variant, by } in &told {
        outln!("{}", styled(BOLD, variant));
        outln!("    {}", variant.does());
        let mut shown = &by[..];
        if arguments.word.is_some() {
            outln!("    Linux {}", variant.linux());
            outln!("    otherwise {}", variant.breaks());
            outln!("    seen in {}", variant.seen_in());
        } else {
            shown = &by[..by.len().min(A_FEW)];
        }
        for name in shown {
            outln!("      {}", styled(FAINT, name));
        }
        if shown.len() < by.len() {
            let more = by.len() - shown.len();
            outln!("      {}", styled(FAINT, format_args!("and {more} more")));
        }
    }
    Ok(Verdict::Agree)
}

fn containing(word: &str) -> Vec<Variant> {
    let word = word.trim_start_matches("--").to_lowercase();
    let contains = |variant: &Variant| {
        let texts = [variant.switch(), variant.does(), variant.seen_in()];
        texts.iter().any(|text| text.to_lowercase().contains(&word))
    };
    Variant::ALL.iter().copied().filter(contains).collect()
}

/// These mistakes, and the built-in scenarios that fail because of each. What they expect is what Linux
/// does.
pub fn told(variants: &[Variant]) -> Vec<Told> {
    let mut by: BTreeMap<Variant, Vec<&'static str>> = BTreeMap::new();
    let mut tells: BTreeMap<&'static str, usize> = BTreeMap::new();
    let scenarios = library()
        .into_iter()
        .filter_map(|Entry { name, text, .. }| {
            let scenario = Scenario::parse(text).ok()?;
            let possible = needs::unmet_by_model(scenario.header()).is_none();
            possible.then_some((name, scenario))
        });
    let (parallel, plain): (Vec<_>, Vec<_>) =
        scenarios.partition(|(_, scenario)| scenario.is_parallel());
    for (name, scenario) in &plain {
        for variant in variants {
            let mut model = Model::new().with_variants(Variants::from(*variant));
            if !scenario.run(&mut model, Options::default()).passed() {
                by.entry(*variant).or_default().push(*name);
                *tells.entry(*name).or_default() += 1;
            }
        }
    }
    // Where no one run tells, perhaps the order of steps does.
    let untold = variants.iter().filter(|variant| !by.contains_key(variant));
    for variant in untold.copied().collect::<Vec<_>>() {
        let explorer = Explorer::new().variants(variant.into());
        for (name, scenario) in &parallel {
            let explored = explorer.explore(scenario);
            if !explored.is_ok_and(|explored| explored.is_as_written()) {
                by.entry(variant).or_default().push(*name);
                *tells.entry(*name).or_default() += 1;
            }
        }
    }
    let told = variants.iter().map(|variant| {
        let mut by = by.remove(variant).unwrap_or_default();
        by.sort_by_key(|name| (!FIRST.contains(&(*variant, name)), tells[name]));
        Told {
            variant: *variant,
            by,
        }
    });
    told.collect()
}

/// The options, for every command that runs something on the model.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wrong {
    /// The mistakes that were asked for.
    pub(super) variants: Variants,
}

impl Wrong {
    /// Refuses to ask the running kernel alone for a mistake.
    pub(super) fn check(self, on: On) -> Result<(), Unusable> {
        if on == On::Kernel && !self.variants.is_empty() {
            complain(format_args!(
                "{} is a mistake of the model; the running kernel cannot make it",
                self.variants
            ));
            return Err(Unusable);
        }
        Ok(())
    }
}

/// `--without PART` has a value, all others are plain switches.
fn without(variant: Variant) -> Option<&'static str> {
    variant.switch().strip_prefix("without ")
}

const HEADING: &str = "Wrong epolls (on the model; see `epoll-lab variants`)";

/// By hand, since it is the table of variants that says which options there are.
impl clap::Args for Wrong {
    fn augment_args(command: Command) -> Command {
        let parts = || Variant::ALL.iter().copied().filter_map(without);
        let parts_help = |variant: &Variant| {
            without(*variant).map(|part| PossibleValue::new(part).help(variant.does()))
        };
        let values: Vec<PossibleValue> = Variant::ALL.iter().filter_map(parts_help).collect();
        let whole = Arg::new("without")
            .long("without")
            .value_name("PART")
            .action(ArgAction::Append)
            .value_parser(values)
            .help(format!(
                "Leave a part out: {}",
                parts().collect::<Vec<_>>().join(", ")
            ));
        let switches = Variant::ALL
            .iter()
            .filter(|variant| without(**variant).is_none())
            .map(|variant| {
                Arg::new(variant.switch())
                    .long(variant.switch())
                    .action(ArgAction::SetTrue)
                    .help(sentence(variant.does()))
            });
        let all = std::iter::once(whole).chain(switches);
        command.args(all.map(|arg| arg.help_heading(HEADING).hide_short_help(true)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Wrong::augment_args(command)
    }
}

impl FromArgMatches for Wrong {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Wrong, clap::Error> {
        let parts = matches.get_many::<String>("without");
        let parts: Vec<&String> = parts.into_iter().flatten().collect();
        let asked = |variant: &Variant| match without(*variant) {
            Some(part) => parts.iter().any(|asked| *asked == part),
            None => matches.get_flag(variant.switch()),
        };
        let variants = Variant::ALL.iter().copied().filter(asked).collect();
        Ok(Wrong { variants })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Wrong::from_arg_matches(matches)?;
        Ok(())
    }
}

/// With a capital letter, as the help of other options has it.
fn sentence(clause: &str) -> String {
    let mut chars = clause.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}
