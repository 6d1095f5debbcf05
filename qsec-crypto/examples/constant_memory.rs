//! Seals a stream of so many MiB and opens it again, through a pipe, and says what memory the process took at most:
//!
//! ```sh
//! cargo run --release -p qsec-crypto --example constant_memory -- 4096
//! ```
//!
//! It fails if that is more than 16 MiB. A second argument is a number of threads, which may take 2 MiB each besides.

use std::error::Error;
use std::io::{self, Write};
use std::{env, fs, thread};

use qsec_crypto::{Context, RawKey, SecretKey, Threads};

/// What sealing and opening may take, with the program itself.
const MAX_KIB: u64 = 16 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mebibytes: u64 = arguments.next().unwrap_or_else(|| "256".to_owned()).parse()?;
    let threads = Threads::new(arguments.next().unwrap_or_else(|| "1".to_owned()).parse()?)?;

    let key = RawKey::new(SecretKey::generate()?).at_version(1)?;
    let context = Context::from([("file", "backup")]);
    let (reader, writer) = io::pipe()?;
    let mut sealer = key.sealer(writer, &context)?.with_threads(threads);
    let opened = thread::scope(|scope| -> io::Result<u64> {
        let sealing = scope.spawn(move || -> io::Result<()> {
            let piece = vec![0x5A; 1 << 16];
            for _ in 0..mebibytes << 4 {
                sealer.write_all(&piece)?;
            }
            sealer.finish()?;
            Ok(())
        });
        let mut opener = key.opener(reader, &context)?.with_threads(threads);
        let opened = io::copy(&mut opener, &mut io::sink())?;
        sealing.join().unwrap_or_else(|_| Err(io::Error::other("the sealing thread panicked")))?;
        Ok(opened)
    })?;
    if opened != mebibytes << 20 {
        return Err(format!("{opened} bytes came out").into());
    }
    let held = most_memory()?;
    let allowed = MAX_KIB + if threads == Threads::ONE { 0 } else { 2048 * u64::try_from(threads.count())? };
    println!("{mebibytes} MiB sealed and opened on {} threads; the process held at most {held} KiB", threads.count());
    if held > allowed {
        return Err(format!("more than {allowed} KiB").into());
    }
    Ok(())
}

/// The most memory that the process had at once, in KiB, as Linux counts it.
fn most_memory() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
