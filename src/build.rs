//! Builds anew when a scenario or a table's kind of file is added or removed: the macro that embeds the
//! folders sees only the files that it has embedded.

fn main() {
    println!("cargo:rerun-if-changed=examples/scenarios");
    println!("cargo:rerun-if-changed=examples/tables");
}
