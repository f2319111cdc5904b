//! Chance, and the same chance again: with a seed the results are Python's.

use minijinja::value::ValueKind;
use rand::Rng;
use sha2::{Digest, Sha512};

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, python};

pub const FILTERS: &[Plugin] = &[
    Plugin::new("random", &["end", "start", "step", "seed"], random),
    Plugin::new("shuffle", &["mylist", "seed"], shuffle),
    Plugin::new("random_mac", &["value", "seed"], random_mac),
];

fn random(call: &mut Call) -> Result<Value, TemplateError> {
    let mut source = Source::of(call.some("seed"));
    let end = call.value()?;
    if end.is_integer() {
        let end = call.as_integer("end", end)?;
        let start = call.integer("start", 0)?;
        let step = match call.integer("step", 1)? {
            0 => 1,
            step => step,
        };
        let width = i128::from(end) - i128::from(start);
        let step = i128::from(step);
        let count = if step > 0 { (width + step - 1) / step } else { (width + step + 1) / step };
        let count = u64::try_from(count).ok().filter(|count| *count > 0).ok_or_else(|| {
            TemplateError::new(format!("empty range for randrange() ({start}, {end}, {step})"))
        })?;
        let number = i128::from(start) + step * i128::from(source.below(count));
        return Ok(i64::try_from(number).map_or_else(|_| Value::from(number), Value::from));
    }
    if !matches!(
        end.kind(),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::String | ValueKind::Map
    ) {
        return Err(TemplateError::new("random can only be used on sequences and integers"));
    }
    if call.get("start").is_some_and(Value::is_true) || call.get("step").is_some_and(Value::is_true)
    {
        return Err(TemplateError::new("start and step can only be used with integer values"));
    }
    let items = python::items(end)?;
    if items.is_empty() {
        return Err(TemplateError::new("Cannot choose from an empty sequence"));
    }
    let index = usize::try_from(source.below(items.len() as u64)).unwrap_or_default();
    Ok(items.get(index).cloned().unwrap_or_default())
}

fn shuffle(call: &mut Call) -> Result<Value, TemplateError> {
    let mut source = Source::of(call.some("seed").filter(|seed| seed.is_true()));
    let mut items = python::items(call.value()?)?;
    for last in (1..items.len()).rev() {
        let other = usize::try_from(source.below(last as u64 + 1)).unwrap_or_default();
        items.swap(last, other);
    }
    Ok(Value::from(items))
}

/// The rest of a hardware address that begins like this.
fn random_mac(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?.as_str().map(str::to_lowercase);
    let value = value.ok_or_else(|| call.error("the value has to be a text"))?;
    let parts: Vec<&str> = value.split(':').collect();
    let byte = |part: &&str| part.len() >= 2 && part.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    if parts.len() > 5 || !parts.iter().all(byte) {
        return Err(TemplateError::new(format!(
            "Invalid value ({value}) for random_mac: one to five bytes with colons between them are"
        )));
    }
    let (low, high) = (0x10_0000_0000, 0xff_ffff_ffff);
    let number = low + Source::of(call.some("seed")).below(high - low + 1);
    let digits = format!("{number:x}");
    let bytes = (0..6 - parts.len()).filter_map(|index| digits.get(2 * index..2 * index + 2));
    Ok(Value::from(bytes.fold(value.clone(), |mac, byte| format!("{mac}:{byte}"))))
}

/// Where chance comes from.
pub enum Source {
    System,
    Seeded(Box<MersenneTwister>),
}

impl Source {
    pub fn of(seed: Option<&Value>) -> Self {
        match seed {
            None => Self::System,
            Some(seed) => Self::Seeded(Box::new(MersenneTwister::seeded(seed))),
        }
    }

    /// A number from 0 up to, not with, `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        match self {
            Self::System => rand::rng().random_range(0..end),
            Self::Seeded(twister) => {
                let bits = u64::BITS - end.leading_zeros();
                loop {
                    let number = twister.bits(bits);
                    if number < end {
                        return number;
                    }
                }
            }
        }
    }
}

/// MT19937, seeded as `random.Random(seed)` seeds it.
pub struct MersenneTwister {
    state: Vec<u32>,
    next: usize,
}

const SIZE: usize = 624;

impl MersenneTwister {
    fn seeded(seed: &Value) -> Self {
        let key: Vec<u32> = if seed.is_integer() {
            let number = i128::try_from(seed.clone()).unwrap_or_default().unsigned_abs();
            words(&number.to_be_bytes())
        } else {
            let text = python::text(seed).into_bytes();
            let digest = Sha512::digest(&text);
            let bytes: Vec<u8> = text.into_iter().chain(digest.iter().copied()).collect();
            words(&bytes)
        };
        let mut twister = Self { state: first_state(19_650_218), next: SIZE };
        twister.mix(&key);
        twister
    }

    fn at(&self, index: usize) -> u32 {
        self.state.get(index).copied().unwrap_or_default()
    }

    fn set(&mut self, index: usize, value: u32) {
        if let Some(place) = self.state.get_mut(index) {
            *place = value;
        }
    }

    /// One step of the seeding: `index` and the word before it make the new word.
    fn stir(&mut self, index: usize, factor: u32, change: impl FnOnce(u32) -> u32) -> usize {
        let before = self.at(index - 1);
        let mixed = self.at(index) ^ (before ^ (before >> 30)).wrapping_mul(factor);
        self.set(index, change(mixed));
        if index + 1 < SIZE {
            return index + 1;
        }
        self.set(0, self.at(SIZE - 1));
        1
    }

    fn mix(&mut self, key: &[u32]) {
        let mut index = 1;
        for step in 0..SIZE.max(key.len()) {
            let place = step % key.len().max(1);
            let word = key.get(place).copied().unwrap_or_default().wrapping_add(place as u32);
            index = self.stir(index, 1_664_525, |mixed| mixed.wrapping_add(word));
        }
        for _ in 0..SIZE - 1 {
            let place = index as u32;
            index = self.stir(index, 1_566_083_941, |mixed| mixed.wrapping_sub(place));
        }
        self.set(0, 0x8000_0000);
    }

    fn refill(&mut self) {
        for index in 0..SIZE {
            let joined =
                (self.at(index) & 0x8000_0000) | (self.at((index + 1) % SIZE) & 0x7fff_ffff);
            let twist = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.set(index, self.at((index + 397) % SIZE) ^ (joined >> 1) ^ twist);
        }
        self.next = 0;
    }

    fn word(&mut self) -> u32 {
        if self.next >= SIZE {
            self.refill();
        }
        let mut word = self.at(self.next);
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// `getrandbits`: the first word is the lowest.
    fn bits(&mut self, count: u32) -> u64 {
        let low = u64::from(self.word() >> (32 - count.clamp(1, 32)));
        if count <= 32 {
            return low;
        }
        low | (u64::from(self.word() >> (64 - count.min(64))) << 32)
    }
}

fn first_state(seed: u32) -> Vec<u32> {
    let mut state = vec![seed];
    let mut word = seed;
    for index in 1..SIZE as u32 {
        word = (word ^ (word >> 30)).wrapping_mul(1_812_433_253).wrapping_add(index);
        state.push(word);
    }
    state
}

/// A big-endian number as 32 bit words, the lowest first, without leading zeros.
fn words(bytes: &[u8]) -> Vec<u32> {
    let mut words: Vec<u32> = bytes
        .rchunks(4)
        .map(|chunk| chunk.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte)))
        .collect();
    while words.len() > 1 && words.last() == Some(&0) {
        words.pop();
    }
    words
}
