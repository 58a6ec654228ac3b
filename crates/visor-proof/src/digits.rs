//! Numbers in the characters of base64url, of six bits each.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Writes the lowest bits of a number, six to a character.
#[inline]
pub(crate) fn encode(bits: u64, characters: &mut [u8]) {
    let mut bits = bits;
    for character in characters.iter_mut().rev() {
        *character = ALPHABET[(bits & 63) as usize];
        bits >>= 6;
    }
}

/// The lowest bits of a number in so many characters, the first of which is the lowest byte.
#[inline]
pub(crate) fn encoded<const LENGTH: usize>(bits: u64) -> u64 {
    let characters = (0..LENGTH).map(|at| ALPHABET[(bits >> (6 * at) & 63) as usize]);
    characters.fold(0, |packed, character| packed << 8 | u64::from(character))
}

/// The number that these characters are; `None` if one isn't of base64url.
#[inline]
pub(crate) fn decoded(characters: &[u8]) -> Option<u64> {
    let mut bits = 0;
    for character in characters {
        let sextet = SEXTETS[usize::from(*character)];
        if sextet == NO_SEXTET {
            return None;
        }
        bits = bits << 6 | u64::from(sextet);
    }
    Some(bits)
}

const NO_SEXTET: u8 = 64;
const SEXTETS: [u8; 256] = {
    let mut sextets = [NO_SEXTET; 256];
    let mut sextet = 0;
    while sextet < 64 {
        sextets[ALPHABET[sextet as usize] as usize] = sextet;
        sextet += 1;
    }
    sextets
};
