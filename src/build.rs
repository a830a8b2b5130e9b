//! Builds anew when a scenario is added or removed: the macro that embeds the folder sees only the files
//! that it has embedded.

fn main() {
    println!("cargo:rerun-if-changed=examples/scenarios");
}
