//! The binary; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    torrentlab::main(std::env::args_os())
}
