//! Writes the record and the report of a made-up run to a folder: for looking at plots and page.
//!
//! `cargo run -p torrentlab-reports --example synthetic -- DIR`

#[path = "../tests/synthetic/mod.rs"]
mod synthetic;

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("name a folder")?);
    let record = synthetic::with_faults();
    record.write(&dir)?;
    println!("{}", torrentlab_reports::summary_table(&record.summary));
    println!("{}", torrentlab_reports::report(&dir)?.display());
    Ok(())
}
