#![no_main]

#[path = "../drivers.rs"]
mod drivers;
#[path = "../../opcua/space.rs"]
mod space;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drivers::messages(data));
