//! A small log, changed in every way: none is ever called intact.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tests::{assert_intact, copy_folder, escrow, folder, new_log, nine, opened};
use super::*;
use crate::catalogue::{AuditPersonalErased, TenantCreated};
use crate::event::Actor;
use crate::merkle::sha256;
use crate::name::TenantId;
use crate::verify::{Report, Verdict, VerifyOptions, verify};
use crate::wal::chain;
use crate::wal::frame::{FRAME_HEADER, Frame, Kind, NewRecord};
use crate::wal::segment::HEADER;

const SEGMENTS: [&str; 2] = ["wal/00000000000000000000.qwal", "wal/00000000000000000001.qwal"];

/// Two tenants, a personal part, an erased personal part, two segments, closed.
fn small_log() -> tempfile::TempDir {
    let dir = folder();
    let log = new_log(dir.path());
    let created =
        TenantCreated::new().region("eu").by(Actor::operator("op-1")).tenant(TenantId::parse("acme").unwrap());
    log.record(created, nine()).unwrap().durable().unwrap();
    for subject in ["u-7", "u-8"] {
        let pending = log.record(opened("acme", "a-1"), nine()).unwrap();
        let mut core = log.shared.lock();
        let (tree, payload) = (Tree::tenant("acme").unwrap(), [0xaa; 48]);
        let index = core.trees[&tree].edge.len() - 1;
        let digest = sha256(&[&payload]);
        core.filling.frame.push(&NewRecord {
            kind: Kind::Personal,
            tree: &tree,
            subject,
            index,
            payload: &payload,
            digest,
        });
        drop(core);
        pending.durable().unwrap();
    }
    log.record(opened("other", "a-2"), nine()).unwrap().durable().unwrap();
    let next_day = nine() + Duration::from_hours(25);
    let erased = AuditPersonalErased::new().tenant("acme").subject("u-8").parts(1).last_commit(4);
    log.record(erased.by(Actor::operator("op-1")), next_day).unwrap().durable().unwrap();
    log.close(next_day).unwrap();
    assert_intact(dir.path());
    erase(&dir.path().join(SEGMENTS[0]), "u-8");
    assert_intact(dir.path());
    dir
}

/// Rewrites the parts of a subject as erased: the digest and zeros, the CRC made anew, chain and MAC as they were.
fn erase(path: &Path, subject: &str) {
    let bytes = std::fs::read(path).unwrap();
    let mut out = bytes.clone();
    let mut found = 0;
    for (start, end) in frames(&bytes) {
        for record in Frame::parse(&bytes[start..end]).unwrap().records {
            if record.kind == Kind::Personal && record.subject == subject {
                let head = start + record.at;
                out[head + 1] = 1;
                let payload = head + 16 + record.tenant.len() + subject.len();
                out[payload..payload + 48].fill(0);
                out[payload..payload + 32].copy_from_slice(&record.digest());
                found += 1;
            }
        }
        new_crcs(&mut out[start..end]);
    }
    assert_eq!(found, 1);
    std::fs::write(path, out).unwrap();
}

/// Where the frames of a segment are, by their own lengths.
fn frames(bytes: &[u8]) -> Vec<(usize, usize)> {
    let (mut found, mut at) = (Vec::new(), HEADER);
    while at < bytes.len() {
        let length = u32::from_be_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        found.push((at, at + length));
        at += length;
    }
    found
}

fn new_crcs(frame: &mut [u8]) {
    let header = crc32c::crc32c(&frame[..28]).to_be_bytes();
    frame[28..FRAME_HEADER].copy_from_slice(&header);
    let end = frame.len();
    let crc = crc32c::crc32c(&frame[..end - 8]).to_be_bytes();
    frame[end - 8..end - 4].copy_from_slice(&crc);
}

/// CRCs and chain of every segment made anew, as somebody can who has no key. Frames that do not parse stay.
fn new_chain(files: &mut BTreeMap<String, Vec<u8>>) {
    let meta = crate::wal::meta::LogMeta::parse(&files["log.meta"]).unwrap();
    let mut value = chain::log_start(&meta.log_id, &meta.digest());
    for name in SEGMENTS {
        let Some(bytes) = files.get_mut(name) else { continue };
        bytes[56..88].copy_from_slice(&value);
        let crc = crc32c::crc32c(&bytes[..124]).to_be_bytes();
        bytes[124..128].copy_from_slice(&crc);
        value = chain::segment(&value, &bytes[..HEADER]);
        for (start, end) in frames(&bytes.clone()) {
            new_crcs(&mut bytes[start..end]);
            let Ok(frame) = Frame::parse(&bytes[start..end]) else { continue };
            let digests: Vec<_> = frame.records.iter().map(crate::wal::frame::Record::digest).collect();
            value = frame.chain_after(&value, &digests);
            bytes[end - 72..end - 40].copy_from_slice(&value);
            new_crcs(&mut bytes[start..end]);
        }
    }
}

fn report(dir: &Path, with_escrow: bool) -> Report {
    let options = VerifyOptions::new(nine() + Duration::from_hours(1000));
    verify(dir, &if with_escrow { options.escrow(escrow()) } else { options }).unwrap()
}

fn assert_tampered(dir: &Path, with_escrow: bool, what: &str) {
    let report = report(dir, with_escrow);
    assert_eq!(report.verdict(), Verdict::Tampered, "{what} is called intact");
}

fn all_files(dir: &Path) -> Vec<String> {
    fn walk(base: &Path, dir: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                walk(base, &entry.path(), found);
            } else {
                found.push(entry.path().strip_prefix(base).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, dir, &mut found);
    found.sort();
    found
}

/// Runs a check on copies of the log, on both cores.
fn on_copies(dir: &Path, check: impl Fn(&Path, usize) + Sync) {
    std::thread::scope(|scope| {
        for half in 0..2 {
            let check = &check;
            scope.spawn(move || {
                let copy = folder();
                copy_folder(dir, copy.path());
                check(copy.path(), half);
            });
        }
    });
}

fn with_bytes(path: &PathBuf, good: &[u8], changed: &[u8], check: impl FnOnce()) {
    std::fs::write(path, changed).unwrap();
    check();
    std::fs::write(path, good).unwrap();
}

#[test]
fn every_byte_is_covered() {
    let dir = small_log();
    let flips = std::sync::atomic::AtomicUsize::new(0);
    on_copies(dir.path(), |copy, half| {
        for name in all_files(copy) {
            let path = copy.join(&name);
            let good = std::fs::read(&path).unwrap();
            for at in (half..good.len()).step_by(2) {
                // One bit of every byte, and every bit of each 16th.
                let bits = if at / 2 % 16 == 0 { 0..8 } else { at % 8..at % 8 + 1 };
                for bit in bits {
                    let mut changed = good.clone();
                    changed[at] ^= 1 << bit;
                    with_bytes(&path, &good, &changed, || {
                        assert_tampered(copy, false, &format!("`{name}`, byte {at}, bit {bit}"));
                    });
                    flips.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            }
        }
        assert_eq!(report(copy, true).verdict(), Verdict::Intact);
    });
    println!("{} flips", flips.into_inner());
}

#[test]
fn every_truncation_is_noticed() {
    let dir = small_log();
    on_copies(dir.path(), |copy, half| {
        for name in all_files(copy).iter().filter(|name| *name != "lock") {
            let path = copy.join(name);
            let good = std::fs::read(&path).unwrap();
            for length in (half..good.len()).step_by(2) {
                with_bytes(&path, &good, &good[..length], || {
                    assert_tampered(copy, false, &format!("`{name}` cut at {length}"));
                });
            }
            let mut longer = good.clone();
            longer.push(0);
            with_bytes(&path, &good, &longer, || assert_tampered(copy, false, &format!("`{name}` with a byte more")));
        }
    });
}

#[test]
fn flips_with_crcs_or_chain_made_anew_are_noticed_by_chain_or_mac() {
    let dir = small_log();
    on_copies(dir.path(), |copy, half| {
        let load = || all_files(copy).into_iter().map(|name| (name.clone(), std::fs::read(copy.join(name)).unwrap()));
        let good: BTreeMap<String, Vec<u8>> = load().collect();
        for name in SEGMENTS {
            let path = copy.join(name);
            for (start, end) in frames(&good[name]) {
                // The length decides where the next frame is: with another one there is nothing to make anew.
                let places = (start + half..end).step_by(2).filter(|at| !(start + 4..start + 8).contains(at));
                for at in places {
                    let mut crcs = good[name].clone();
                    crcs[at] ^= 1 << (at % 8);
                    let mut chained = good.clone();
                    *chained.get_mut(name).unwrap() = crcs.clone();
                    new_crcs(&mut crcs[start..end]);
                    if crcs != good[name] {
                        with_bytes(&path, &good[name], &crcs, || {
                            assert_tampered(copy, true, &format!("CRC anew, byte {at}"));
                        });
                    }
                    new_chain(&mut chained);
                    if chained == good {
                        continue;
                    }
                    for segment in SEGMENTS {
                        std::fs::write(copy.join(segment), &chained[segment]).unwrap();
                    }
                    assert_tampered(copy, true, &format!("chain anew, `{name}`, byte {at}"));
                    for segment in SEGMENTS {
                        std::fs::write(copy.join(segment), &good[segment]).unwrap();
                    }
                }
            }
        }
    });
}

/// Byte ranges of the records of a segment's frames, each with its frame.
fn records(bytes: &[u8]) -> Vec<((usize, usize), (usize, usize))> {
    let mut found = Vec::new();
    for (start, end) in frames(bytes) {
        let frame = Frame::parse(&bytes[start..end]).unwrap();
        let mut starts: Vec<usize> = frame.records.iter().map(|record| start + record.at).collect();
        starts.push(end - 72);
        found.extend(starts.windows(2).map(|pair| ((start, end), (pair[0], pair[1]))));
    }
    found
}

/// The frame with other records: length and number of records follow.
fn with_records(bytes: &[u8], frame: (usize, usize), records: &[&[u8]]) -> Vec<u8> {
    let mut out = bytes[..frame.0 + FRAME_HEADER].to_vec();
    for record in records {
        out.extend_from_slice(record);
    }
    out.extend_from_slice(&bytes[frame.1 - 72..frame.1]);
    let length = u32::try_from(out.len() - frame.0).unwrap().to_be_bytes();
    out[frame.0 + 4..frame.0 + 8].copy_from_slice(&length);
    out[frame.0 + 24..frame.0 + 28].copy_from_slice(&u32::try_from(records.len()).unwrap().to_be_bytes());
    let end = out.len();
    new_crcs(&mut out[frame.0..end]);
    out.extend_from_slice(&bytes[frame.1..]);
    out
}

fn try_segment(copy: &Path, good: &BTreeMap<String, Vec<u8>>, name: &str, changed: &[u8], what: &str) {
    if changed == good[name] {
        return;
    }
    with_bytes(&copy.join(name), &good[name], changed, || assert_tampered(copy, false, &format!("{what}, CRC anew")));
    let mut chained = good.clone();
    *chained.get_mut(name).unwrap() = changed.to_vec();
    new_chain(&mut chained);
    for segment in SEGMENTS {
        std::fs::write(copy.join(segment), &chained[segment]).unwrap();
    }
    assert_tampered(copy, true, &format!("{what}, chain anew"));
    for segment in SEGMENTS {
        std::fs::write(copy.join(segment), &good[segment]).unwrap();
    }
}

#[test]
fn records_and_frames_removed_doubled_or_swapped_are_noticed() {
    let dir = small_log();
    let copy = dir.path();
    let good: BTreeMap<String, Vec<u8>> =
        all_files(copy).into_iter().map(|name| (name.clone(), std::fs::read(copy.join(name)).unwrap())).collect();
    for name in SEGMENTS {
        let bytes = &good[name];
        let all = records(bytes);
        for (position, (frame, (start, end))) in all.iter().enumerate() {
            let same: Vec<&[u8]> =
                all.iter().filter(|(of, _)| of == frame).map(|(_, (start, end))| &bytes[*start..*end]).collect();
            let own = same.iter().position(|record| std::ptr::eq(*record, &raw const bytes[*start..*end])).unwrap();
            let mut fewer = same.clone();
            fewer.remove(own);
            try_segment(copy, &good, name, &with_records(bytes, *frame, &fewer), &format!("record {position} removed"));
            let mut more = same.clone();
            more.insert(own, same[own]);
            try_segment(copy, &good, name, &with_records(bytes, *frame, &more), &format!("record {position} doubled"));
            let mut swapped = same.clone();
            swapped.swap(own, (own + 1) % same.len());
            try_segment(
                copy,
                &good,
                name,
                &with_records(bytes, *frame, &swapped),
                &format!("record {position} swapped"),
            );
        }
        let all = frames(bytes);
        for (position, (start, end)) in all.iter().copied().enumerate() {
            let fewer = [&bytes[..start], &bytes[end..]].concat();
            try_segment(copy, &good, name, &fewer, &format!("frame {position} of `{name}` removed"));
            let more = [&bytes[..end], &bytes[start..]].concat();
            try_segment(copy, &good, name, &more, &format!("frame {position} of `{name}` doubled"));
            if let Some((next, after)) = all.get(position + 1).copied() {
                let swapped = [&bytes[..start], &bytes[next..after], &bytes[start..end], &bytes[after..]].concat();
                try_segment(copy, &good, name, &swapped, &format!("frame {position} of `{name}` swapped"));
            }
        }
    }
    assert_intact(copy);
}

#[test]
fn files_removed_doubled_or_swapped_are_noticed() {
    let dir = small_log();
    let names = all_files(dir.path());
    assert_eq!(names.len(), 8, "{names:?}");
    for name in &names {
        let copy = folder();
        copy_folder(dir.path(), copy.path());
        std::fs::remove_file(copy.path().join(name)).unwrap();
        assert_tampered(copy.path(), false, &format!("`{name}` removed"));
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
        for more in [format!("{name}.new"), format!("{name}2"), "wal/00000000000000000002.qwal".to_owned()] {
            std::fs::copy(dir.path().join(name), copy.path().join(&more)).unwrap();
            assert_tampered(copy.path(), false, &format!("`{name}` copied to `{more}`"));
            std::fs::remove_file(copy.path().join(&more)).unwrap();
        }
        for other in names.iter().filter(|other| *other > name) {
            std::fs::copy(dir.path().join(name), copy.path().join(other)).unwrap();
            std::fs::copy(dir.path().join(other), copy.path().join(name)).unwrap();
            assert_tampered(copy.path(), false, &format!("`{name}` and `{other}` swapped"));
            std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
            std::fs::copy(dir.path().join(other), copy.path().join(other)).unwrap();
        }
        assert_intact(copy.path());
    }
}

#[test]
fn erasure_without_record_is_noticed() {
    let dir = small_log();
    erase(&dir.path().join(SEGMENTS[0]), "u-7");
    let report = report(dir.path(), true);
    let codes: Vec<_> = report.findings().iter().map(crate::verify::Finding::code).collect();
    assert!(codes.contains(&"erased_without_record"), "{codes:?}");
}

#[test]
fn findings_name_file_offset_commit_tenant_and_leaf() {
    let dir = small_log();
    let path = dir.path().join(SEGMENTS[0]);
    let mut bytes = std::fs::read(&path).unwrap();
    let needle = b"\"app\":\"a-2\"";
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    bytes[at + 7] = b'b';
    let (start, end) = frames(&bytes).into_iter().find(|(start, end)| (*start..*end).contains(&at)).unwrap();
    new_crcs(&mut bytes[start..end]);
    std::fs::write(&path, &bytes).unwrap();
    let report = report(dir.path(), false);
    let broken = report.findings().iter().find(|finding| finding.code() == "chain_broken").unwrap();
    assert_eq!((broken.file(), broken.offset()), (Some(SEGMENTS[0]), Some(start as u64)));
    let commit = Frame::parse(&bytes[start..end]).unwrap().commit;
    assert_eq!(broken.commit(), Some(commit));
    let root = report.findings().iter().find(|finding| finding.code() == "root_mismatch").unwrap();
    assert_eq!(root.tree().map(ToString::to_string).as_deref(), Some("other"));
}
