//! MurmurHash3, the 32-bit variant for x86 (Austin Appleby, public domain, 2011).

/// The hash of `bytes`.
pub(super) fn murmur3_32(bytes: &[u8], seed: u32) -> u32 {
    let (blocks, tail) = bytes.as_chunks::<4>();
    let mut hash = seed;
    for block in blocks {
        hash ^= scramble(u32::from_le_bytes(*block));
        hash = hash
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64);
    }
    if !tail.is_empty() {
        let last = tail
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash ^= scramble(last);
    }
    // The algorithm counts the length modulo 2^32.
    hash ^= bytes.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

fn scramble(word: u32) -> u32 {
    word.wrapping_mul(0xcc9e_2d51)
        .rotate_left(15)
        .wrapping_mul(0x1b87_3593)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number by which SMHasher knows a right implementation (its `VerificationTest`): the hash of the
    /// hashes of 0, 1, …, 254 counted-up bytes, each with the seed 256 less their number.
    #[test]
    fn it_is_the_hash_that_smhasher_verifies() {
        let key: Vec<u8> = (0..=255).collect();
        let hashes: Vec<u8> = (0..256_u32)
            .flat_map(|length| murmur3_32(&key[..length as usize], 256 - length).to_le_bytes())
            .collect();
        assert_eq!(murmur3_32(&hashes, 0), 0xb0f5_7ee3);
    }

    #[test]
    fn known_hashes() {
        for (text, seed, hash) in [
            ("", 0, 0),
            ("", 1, 0x514e_28b7),
            ("", 0xffff_ffff, 0x81f1_6f39),
            ("test", 0, 0xba6b_d213),
            ("Hello, world!", 0, 0xc036_3e43),
            (
                "The quick brown fox jumps over the lazy dog",
                0x9747_b28c,
                0x2fa8_26cd,
            ),
        ] {
            assert_eq!(murmur3_32(text.as_bytes(), seed), hash, "{text:?} {seed}");
        }
    }
}
