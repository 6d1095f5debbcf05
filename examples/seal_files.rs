//! A folder of files, sealed under one key without any server: each file a stream in constant memory, each bound to its
//! own name, any part of it readable without the rest.
//!
//! `cargo run --release --example seal_files [FOLDER]` seals the example data, or a folder of yours, into
//! `target/seal-files`, opens it again and compares; then it does what somebody would who can write that folder, and fails
//! if any of it goes through.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use qsec::crypto::{Context, OpenError, RawKey, SecretKey, TenantId, TenantKey, inspect};
use zeroize::Zeroizing;

type Done<T = ()> = Result<T, Box<dyn Error>>;

const EXAMPLE: &str = env!("CARGO_MANIFEST_DIR");

fn main() -> Done {
    let from = std::env::args_os().nth(1).map_or_else(|| Path::new(EXAMPLE).join("examples/data"), PathBuf::from);
    let to = Path::new(EXAMPLE).join("target/seal-files");
    if to.exists() {
        fs::remove_dir_all(&to)?;
    }
    fs::create_dir_all(&to)?;

    println!("1. A key in a file that nobody else can read");
    let key = key_in_a_file(&to.join("archive.key"))?;

    println!("2. Every file of {} sealed, bound to its name", from.display());
    let names = files_of(&from)?;
    for name in &names {
        let (before, after) = seal_file(&key, &from.join(name), &sealed_path(&to, name), name)?;
        println!("   {name}: {before} bytes, sealed {after}");
    }

    println!("3. Opened again, and equal");
    for name in &names {
        let mut opened = Vec::new();
        key.opener(File::open(sealed_path(&to, name))?, &named(name))?.read_to_end(&mut opened)?;
        expect(opened == fs::read(from.join(name))?, &format!("{name} is what it was"))?;
    }

    let largest = names.iter().max_by_key(|name| fs::metadata(from.join(name)).map_or(0, |file| file.len()));
    let largest = largest.ok_or("there is no file in that folder")?;
    println!("4. The last line of {largest}, without reading the rest");
    println!("   {}", last_line(&key, &sealed_path(&to, largest), largest)?);

    println!("5. What the sealed file tells somebody without the key");
    let sealed = fs::read(sealed_path(&to, largest))?;
    println!("   {:?}", inspect(&sealed, Some(u64::try_from(sealed.len())?))?);

    println!("6. What somebody tries who can write the folder");
    attacks(&key, &sealed, largest)
}

/// Mode 0600 from its first moment, so that there is no time at which others can read it.
fn key_in_a_file(path: &Path) -> Done<TenantKey> {
    let secret = SecretKey::generate()?;
    let text = Zeroizing::new(hex::encode(secret.expose_secret()));
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())?;
    // From here on as any later run of the program would begin.
    Ok(RawKey::from_file(path)?.for_tenant(TenantId::new("archive")?).at_version(0)?)
}

fn files_of(folder: &Path) -> Done<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.push(entry.file_name().into_string().map_err(|name| format!("{} is no text", name.display()))?);
        }
    }
    names.sort();
    Ok(names)
}

/// The name is not stored in the sealed bytes; a file under another name does not open.
fn named(name: &str) -> Context {
    Context::from([("file", name)])
}

fn sealed_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.sealed"))
}

fn seal_file(key: &TenantKey, from: &Path, to: &Path, name: &str) -> Done<(u64, u64)> {
    let mut plain = BufReader::new(File::open(from)?);
    let mut sealer = key.sealer(BufWriter::new(File::create_new(to)?), &named(name))?;
    let bytes = io::copy(&mut plain, &mut sealer)?;
    // Without it the file has no end, and does not open.
    sealer.finish()?.into_inner()?.sync_all()?;
    Ok((bytes, fs::metadata(to)?.len()))
}

fn last_line(key: &TenantKey, sealed: &Path, name: &str) -> Done<String> {
    let mut opener = key.seekable(File::open(sealed)?, &named(name))?;
    let length = opener.plaintext_len()?;
    opener.seek(SeekFrom::Start(length.saturating_sub(200)))?;
    let mut tail = Vec::new();
    opener.read_to_end(&mut tail)?;
    let tail = String::from_utf8_lossy(&tail);
    Ok(tail.trim_end().lines().last().unwrap_or_default().to_owned())
}

fn attacks(key: &TenantKey, sealed: &[u8], name: &str) -> Done {
    let mut flipped = sealed.to_vec();
    if let Some(byte) = flipped.last_mut() {
        *byte ^= 1;
    }
    let (cut, _) = sealed.split_at(sealed.len() - 1);
    let longer = [sealed, b"more"].concat();
    refused("one bit is turned", key.open(&flipped, &named(name)))?;
    refused("the end is cut off", key.open(cut, &named(name)))?;
    refused("something is appended", key.open(&longer, &named(name)))?;
    refused("the file is given another name", key.open(sealed, &named("another")))?;
    let other = RawKey::new(SecretKey::generate()?).for_tenant(TenantId::new("archive")?).at_version(0)?;
    refused("another key is used", other.open(sealed, &named(name)))
}

/// Always the same answer: what exactly did not fit would help whoever tries.
fn refused(tried: &str, answer: Result<Vec<u8>, OpenError>) -> Done {
    match answer {
        Err(OpenError::NotOpened) => {
            println!("   {tried}: not_opened");
            Ok(())
        }
        Err(other) => Err(format!("{tried}: refused as {other}, not as every other").into()),
        Ok(_) => Err(format!("{tried}: it opened").into()),
    }
}

fn expect(holds: bool, claim: &str) -> Done {
    if !holds {
        return Err(format!("not so: {claim}").into());
    }
    println!("   {claim}");
    Ok(())
}
