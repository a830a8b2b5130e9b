//! Every wrong epoll is told from Linux, by scenarios whose expectations are Linux's.

use std::path::Path;

use epoll_lab::cli::variants::{Told, told};
use epoll_lab::model::Variant;

/// A few witnesses each, the most particular ones.
const WITNESSES: usize = 2;

#[test]
fn every_variant_is_told_from_linux() {
    let told = told(Variant::ALL);
    let mut problems = Vec::new();
    for Told { variant, by } in &told {
        if by.is_empty() {
            problems.push(format!("{variant} is told by no scenario"));
        }
    }
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));

    let lines = told.iter().map(|Told { variant, by }| {
        let witnesses = &by[..by.len().min(WITNESSES)];
        format!("{variant}: {}", witnesses.join(", "))
    });
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let table = lines.collect::<Vec<_>>().join("\n");
    settings.bind(|| insta::assert_snapshot!("variants", table));
}
