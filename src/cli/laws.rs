//! `epoll-lab laws`: what the scenarios claim.

use std::path::PathBuf;

use super::input::Source;
use super::json;
use super::terminal::{BOLD, FAINT, outln, styled};
use super::{Unusable, Verdict};

/// List the laws of epoll, each with the scenarios that show it.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    epoll-lab laws\n  \
    epoll-lab laws oneshot\n  \
    epoll-lab laws --json | jq '.[] | select(.id == \"37\")'")]
pub(super) struct Arguments {
    /// Only those whose id is, or whose sentence or scenario contains this
    word: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Read these files or folders instead of the built-in scenarios
    #[arg(long, value_name = "PATH")]
    from: Vec<PathBuf>,
}

/// A law as one scenario tells it.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) id: String,
    pub(super) sentence: String,
    pub(super) scenario: String,
}

pub(super) fn laws(arguments: &Arguments) -> Result<Verdict, Unusable> {
    let mut told = Vec::new();
    for source in sources(&arguments.from)? {
        let scenario = source.parse()?;
        let header = scenario.header();
        let laws = header.laws.iter().map(|law| (&law.id, &law.sentence));
        let confusions = header.confusions.iter().map(|it| (&it.slug, &it.sentence));
        told.extend(laws.chain(confusions).map(|(id, sentence)| Told {
            id: id.clone(),
            sentence: sentence.clone(),
            scenario: source.path.clone(),
        }));
    }
    if let Some(word) = &arguments.word {
        let word = word.to_lowercase();
        told.retain(|told| {
            let texts = [&told.sentence, &told.scenario];
            told.id == word || texts.iter().any(|text| text.to_lowercase().contains(&word))
        });
    }
    told.sort_by_key(|told| {
        let number = told.id.parse().unwrap_or(u32::MAX);
        (number, told.id.clone(), told.scenario.clone())
    });
    if arguments.json {
        outln!("{}", json::laws(&told));
        return Ok(Verdict::Agree);
    }
    for Told {
        id,
        sentence,
        scenario,
    } in &told
    {
        outln!("{} {sentence}", styled(BOLD, format_args!("{id:>5}")));
        outln!("      {}", styled(FAINT, scenario));
    }
    Ok(Verdict::Agree)
}

/// The files that are named, or the built-in ones.
pub(super) fn sources(paths: &[PathBuf]) -> Result<Vec<Source>, Unusable> {
    if paths.is_empty() {
        return Ok(Source::built_in());
    }
    let mut sources = Vec::new();
    for path in paths {
        sources.extend(Source::read_all(path)?);
    }
    Ok(sources)
}
