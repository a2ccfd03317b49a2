//! The log of samples: what was handed over, in the order in which it came, durable with one write each.
//!
//! A log is a row of segments, numbered files that are only added to. What is in a segment is given up when
//! all of it is in blocks. A record that was not written whole ends its segment: nobody was told that it is
//! kept.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::ports::StoreError;
use crate::app::telemetry::{Sample, Sampled, Samples, SeriesId};
use crate::domain::time::{Span, Timestamp};
use crate::store::codec::{Malformed, Record};

/// How a segment begins.
const MAGIC: [u8; 5] = *b"LWTL\x01";
/// Length and checksum before each record.
const HEADER: usize = 8;
/// A sample without a value, and one whose value is bytes; all else is a kind of number.
const NONE: u8 = 0;
const BYTES: u8 = 0x3f;
/// A status follows, because it is not Good.
const WITH_STATUS: u8 = 0x80;
const KINDS: u8 = 0x3f;

/// A segment that is written.
pub struct Log {
    directory: PathBuf,
    file: File,
    number: u64,
    /// Bytes that are durable.
    length: u64,
    /// Whether something could not be written: what the disk has then is not known.
    is_broken: bool,
    /// Bytes of the record that is written, kept for their room.
    bytes: Vec<u8>,
}

/// What was written at once.
pub struct Logged {
    /// When.
    pub at: Timestamp,
    /// The samples.
    pub samples: Samples,
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:012}.log"))
}

/// Translates an error of the operating system.
pub fn failed(path: &Path, error: &std::io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull => StoreError::Full,
        _ => StoreError::Io(format!("{}: {error}", path.display())),
    }
}

/// Numbers of the segments that there are, in order.
pub fn segments(directory: &Path) -> Result<Vec<u64>, StoreError> {
    let entries = fs::read_dir(directory).map_err(|error| failed(directory, &error))?;
    let number = |entry: fs::DirEntry| {
        let name = entry.file_name();
        name.to_str()?.strip_suffix(".log")?.parse::<u64>().ok()
    };
    let mut all: Vec<u64> = entries.filter_map(Result::ok).filter_map(number).collect();
    all.sort_unstable();
    Ok(all)
}

/// Gives segments up, all up to a number.
pub fn remove(directory: &Path, up_to: u64) -> Result<(), StoreError> {
    for number in segments(directory)?.into_iter().filter(|number| *number <= up_to) {
        let path = path(directory, number);
        fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}

/// Reads what was written whole.
pub fn read(directory: &Path, number: u64, mut each: impl FnMut(Logged)) -> Result<(), StoreError> {
    let path = path(directory, number);
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|error| failed(&path, &error))?;
    let Some(mut rest) = bytes.strip_prefix(&MAGIC) else { return Ok(()) };
    while let Some((header, after)) = rest.split_first_chunk::<HEADER>() {
        let [a, b, c, d, check @ ..] = *header;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let Some((mut payload, after)) = after.split_at_checked(length) else { break };
        if crc32fast::hash(payload) != u32::from_le_bytes(check) {
            break;
        }
        let Ok(logged) = get(&mut payload) else { break };
        each(logged);
        rest = after;
    }
    Ok(())
}

fn get(input: &mut &[u8]) -> Result<Logged, Malformed> {
    let at = Timestamp::from_ticks(i64::get(input)?);
    let mut samples = Samples::new();
    while !input.is_empty() {
        let series = SeriesId::get(input)?;
        let since = Span::from_ticks(i64::get(input)?);
        let flags = u8::get(input)?;
        let status = if flags & WITH_STATUS == 0 { 0 } else { u32::get(input)? };
        let value = match flags & KINDS {
            NONE => Sampled::None,
            BYTES => {
                let length = usize::get(input)?;
                let (taken, rest) = input.split_at_checked(length).ok_or(Malformed::Short)?;
                *input = rest;
                Sampled::Bytes(Arc::from(taken))
            }
            kind => {
                let (taken, rest) = input.split_first_chunk::<8>().ok_or(Malformed::Short)?;
                *input = rest;
                Sampled::Number { kind, bits: u64::from_le_bytes(*taken) }
            }
        };
        samples.push((series, Sample { at: at + since, status, value }));
    }
    Ok(Logged { at, samples })
}

fn put(now: Timestamp, samples: &[(SeriesId, Sample)], out: &mut Vec<u8>) {
    now.ticks().put(out);
    for (series, sample) in samples {
        series.put(out);
        (sample.at - now).ticks().put(out);
        let kind = match &sample.value {
            Sampled::None => NONE,
            Sampled::Bytes(_) => BYTES,
            Sampled::Number { kind, .. } => kind & KINDS,
        };
        out.push(if sample.status == 0 { kind } else { kind | WITH_STATUS });
        if sample.status != 0 {
            sample.status.put(out);
        }
        match &sample.value {
            Sampled::None => {}
            Sampled::Bytes(bytes) => {
                bytes.len().put(out);
                out.extend_from_slice(bytes);
            }
            Sampled::Number { bits, .. } => out.extend_from_slice(&bits.to_le_bytes()),
        }
    }
}

impl Log {
    /// Begins a segment.
    pub fn begin(directory: &Path, number: u64) -> Result<Log, StoreError> {
        let path = path(directory, number);
        let begin = || {
            let mut file = File::options().create_new(true).append(true).open(&path)?;
            file.write_all(&MAGIC)?;
            file.sync_all()?;
            // The name is durable only with its directory.
            File::open(directory)?.sync_all()?;
            Ok(file)
        };
        let file = begin().map_err(|error: std::io::Error| failed(&path, &error))?;
        let (directory, length, bytes) = (directory.to_owned(), MAGIC.len() as u64, Vec::new());
        Ok(Log { directory, file, number, length, is_broken: false, bytes })
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether another segment must be begun.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Its bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Writes samples; they are durable on return.
    pub fn append(
        &mut self,
        samples: &[(SeriesId, Sample)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.bytes.clear();
        self.bytes.extend_from_slice(&[0; HEADER]);
        put(now, samples, &mut self.bytes);
        let (header, payload) = self.bytes.split_at_mut(HEADER);
        let length = u32::try_from(payload.len());
        let length = length.map_err(|_| StoreError::Io("too much was written at once".into()))?;
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[4..].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
        let written = self.file.write_all(&self.bytes).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            self.is_broken = true;
            // Nobody is told that it is kept; if it cannot be taken back, it is kept although.
            let _ = self.file.set_len(self.length);
            return Err(failed(&path(&self.directory, self.number), &error));
        }
        self.length += self.bytes.len() as u64;
        Ok(())
    }
}
