//! The scenarios of the project, compiled in.

use include_dir::{Dir, include_dir};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples/scenarios");

/// A file of `examples/scenarios`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    /// The directory: `04-trigger`.
    pub topic: &'static str,
    /// The file without `.strace`: `an-edge-is-reported-once`.
    pub name: &'static str,
    /// What is in it.
    pub text: &'static str,
}

/// Every scenario, sorted by topic and name.
pub fn library() -> Vec<Entry> {
    let mut entries: Vec<Entry> = FILES
        .dirs()
        .flat_map(Dir::files)
        .filter_map(entry)
        .collect();
    entries.sort_unstable();
    entries
}

fn entry(file: &'static include_dir::File<'static>) -> Option<Entry> {
    Some(Entry {
        topic: file.path().parent()?.to_str()?,
        name: file.path().file_name()?.to_str()?.strip_suffix(".strace")?,
        text: file.contents_utf8()?,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_embedded_file_is_a_scenario_in_canonical_form() {
        for entry in super::library() {
            let at = format!("{}/{}", entry.topic, entry.name);
            match crate::scenario::Scenario::parse(entry.text) {
                Ok(scenario) => assert_eq!(scenario.to_string(), entry.text, "{at}"),
                Err(errors) => {
                    let error = &errors[0];
                    panic!("{at}:{}: {error}", error.span().position(entry.text));
                }
            }
        }
    }
}
