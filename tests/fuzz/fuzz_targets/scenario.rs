//! Any bytes are an error or a scenario, and what a scenario prints reads as the same scenario.
#![no_main]

use epoll_lab::scenario::Scenario;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(scenario) = Scenario::parse(text) else {
        return;
    };
    let printed = scenario.to_string();
    match Scenario::parse(&printed) {
        Ok(again) => assert_eq!(again, scenario, "printed as {printed:?}"),
        Err(errors) => panic!("printed as {printed:?}: {}", errors[0]),
    }
});
