//! Helpers of the codec's tests.

pub(super) mod requests;
pub(super) mod responses;

use super::WORD;
use super::frame::Header;

/// Bytes written by hand, a word at a time.
pub(super) fn words(words: &[&[u8; WORD]]) -> Vec<u8> {
    words.iter().copied().flatten().copied().collect()
}

/// The header of a frame and what follows it.
pub(super) fn split(frame: &[u8]) -> (Header, &[u8]) {
    let (header, body) = frame.split_first_chunk().unwrap();
    (Header::decode(header), body)
}

/// Calls `check` with `bytes` damaged in many ways: bits flipped, bytes and words overwritten, pieces cut
/// out and repeated. The damage is the same in every run.
pub(super) fn mutations(bytes: &[u8], mut check: impl FnMut(&[u8])) {
    let mut random = fastrand::Rng::with_seed(0x6471_6c69_7465);
    for _ in 0..2_000 {
        let mut damaged = bytes.to_vec();
        for _ in 0..random.usize(1..5) {
            if damaged.is_empty() {
                break;
            }
            let at = random.usize(..damaged.len());
            match random.u8(..5) {
                0 => damaged[at] ^= 1 << random.u8(..8),
                1 => damaged[at] = random.u8(..),
                2 => {
                    let fill = *random.choice(&[0, 1, 0x7f, 0x80, 0xee, 0xff]).unwrap();
                    let word = at / WORD * WORD;
                    let end = damaged.len().min(word + WORD);
                    damaged[word..end].fill(fill);
                }
                3 => {
                    let end = random.usize(at..=damaged.len());
                    damaged.drain(at..end);
                }
                _ => {
                    let piece = damaged[at..].to_vec();
                    damaged.extend_from_slice(&piece);
                }
            }
        }
        check(&damaged);
    }
}

#[test]
fn damage_is_done() {
    let mut changed = 0;
    mutations(&[7; 32], |bytes| changed += usize::from(bytes != [7; 32]));
    assert!(changed > 1_500);
}
