//! What an RSA public key must look like before a signature under it means anything.

use super::KeyFault;

/// RFC 7518 section 3.3: a key of 2048 bits or larger MUST be used.
const MIN_MODULUS_BITS: usize = 2048;
/// The largest modulus that the verification accepts: the work of a check grows with its square.
const MAX_MODULUS_BITS: usize = 8192;
/// Exponents below 2^33: a large one makes each check slow for nothing.
const MAX_EXPONENT_BITS: u32 = 33;

/// Primes in which 65537 generates a small enough group to tell ROCA moduli from others.
const ROCA_PRIMES: [u16; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];

/// Big-endian numbers without leading zeros.
pub(super) fn check(modulus: &[u8], exponent: &[u8]) -> Result<(), KeyFault> {
    let bits = bit_length(modulus).ok_or(KeyFault::Parameter)?;
    let odd = modulus.last().is_some_and(|last| last & 1 == 1);
    if !(MIN_MODULUS_BITS..=MAX_MODULUS_BITS).contains(&bits) || !odd {
        return Err(KeyFault::ModulusSize);
    }
    check_exponent(exponent)?;
    if ROCA_PRIMES.iter().all(|prime| in_group_of_65537(remainder(modulus, *prime), *prime)) {
        return Err(KeyFault::Roca);
    }
    Ok(())
}

fn check_exponent(exponent: &[u8]) -> Result<(), KeyFault> {
    if exponent.first().is_none_or(|first| *first == 0) || exponent.len() > 8 {
        return Err(KeyFault::Exponent);
    }
    let value = exponent.iter().fold(0_u64, |value, octet| (value << 8) | u64::from(*octet));
    if value < 3 || value & 1 == 0 || value.checked_shr(MAX_EXPONENT_BITS) != Some(0) {
        return Err(KeyFault::Exponent);
    }
    Ok(())
}

/// `None` for a number that is empty or has leading zeros.
fn bit_length(number: &[u8]) -> Option<usize> {
    let first = number.first().filter(|first| **first != 0)?;
    let unused = usize::try_from(first.leading_zeros()).ok()?;
    number.len().checked_mul(8)?.checked_sub(unused)
}

fn remainder(number: &[u8], modulus: u16) -> u16 {
    number.iter().fold(0, |rest, octet| times_plus(rest, 256, u16::from(*octet), modulus))
}

fn times_plus(value: u16, factor: u32, addend: u16, modulus: u16) -> u16 {
    let sum = u32::from(value).wrapping_mul(factor).wrapping_add(u32::from(addend));
    sum.checked_rem(u32::from(modulus)).and_then(|rest| u16::try_from(rest).ok()).unwrap_or_default()
}

/// Whether `value` is a power of 65537 modulo the prime.
fn in_group_of_65537(value: u16, prime: u16) -> bool {
    let mut power = 1;
    for _ in 0..prime {
        if power == value {
            return true;
        }
        power = times_plus(power, 65_537, 0, prime);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modulus(bits: usize) -> Vec<u8> {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        modulus[0] >>= (8 - bits % 8) % 8;
        modulus
    }

    #[test]
    fn modulus_has_2048_to_8192_bits_exactly_and_is_odd() {
        for (bits, usable) in [(1024, false), (2047, false), (2048, true), (2049, true), (8192, true), (8193, false)] {
            let checked = check(&modulus(bits), &[1, 0, 1]);
            assert_eq!(checked.is_ok(), usable, "{bits}");
        }
        let mut even = modulus(2048);
        even[255] = 0xfe;
        assert_eq!(check(&even, &[3]), Err(KeyFault::ModulusSize));
        assert_eq!(check(&[], &[3]), Err(KeyFault::Parameter));
        assert_eq!(check(&[0; 256], &[3]), Err(KeyFault::Parameter));
    }

    #[test]
    fn exponent_is_odd_at_least_3_and_below_2_to_the_33() {
        let with = |exponent: &[u8]| check(&modulus(2048), exponent);
        for usable in [&[3][..], &[1, 0, 1], &[1, 0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(with(usable), Ok(()), "{usable:?}");
        }
        for refused in [&[][..], &[0], &[1], &[2], &[0, 3], &[2, 0, 0, 0, 1], &[1; 9]] {
            assert_eq!(with(refused), Err(KeyFault::Exponent), "{refused:?}");
        }
    }

    #[test]
    fn fingerprint_is_arithmetic_that_can_be_checked_by_hand() {
        // 65537 is 10 modulo 11, that is -1: the group is {1, 10}.
        for value in 0..11 {
            assert_eq!(in_group_of_65537(value, 11), value == 1 || value == 10, "{value}");
        }
        assert_eq!(remainder(&[1, 0, 1], 11), 10);
        assert_eq!(remainder(&[0xff; 4], 157), u16::try_from(u64::from(u32::MAX) % 157).unwrap());
    }
}
