//! Is a point on its curve? Public data only, so nothing here need be constant in time.
//!
//! The equation `y^2 = x^3 - 3x + b` (SP 800-186 section 3.2.1) is checked with Montgomery products, `a * b / R`. Each side is
//! brought to the same power of `R` by products with one, so that no constant besides the curve's own is needed.

/// A curve over a prime field; limbs of 64 bits, lowest first.
pub(super) struct CurveField<const LIMBS: usize> {
    p: [u64; LIMBS],
    b: [u64; LIMBS],
    /// `-1/p` modulo 2^64.
    negated_inverse: u64,
}

/// SP 800-186 section 3.2.1.3.
pub(super) const P256: CurveField<4> = CurveField {
    p: [0xffff_ffff_ffff_ffff, 0x0000_0000_ffff_ffff, 0x0000_0000_0000_0000, 0xffff_ffff_0000_0001],
    b: [0x3bce_3c3e_27d2_604b, 0x651d_06b0_cc53_b0f6, 0xb3eb_bd55_7698_86bc, 0x5ac6_35d8_aa3a_93e7],
    negated_inverse: 1,
};

/// SP 800-186 section 3.2.1.4.
pub(super) const P384: CurveField<6> = CurveField {
    p: [
        0x0000_0000_ffff_ffff,
        0xffff_ffff_0000_0000,
        0xffff_ffff_ffff_fffe,
        0xffff_ffff_ffff_ffff,
        0xffff_ffff_ffff_ffff,
        0xffff_ffff_ffff_ffff,
    ],
    b: [
        0x2a85_c8ed_d3ec_2aef,
        0xc656_398d_8a2e_d19d,
        0x0314_088f_5013_875a,
        0x181d_9c6e_fe81_4112,
        0x988e_056b_e3f8_2d19,
        0xb331_2fa7_e23e_e7e4,
    ],
    negated_inverse: 0x1_0000_0001,
};

impl<const LIMBS: usize> CurveField<LIMBS> {
    /// Whether big-endian coordinates, both below the prime, satisfy the equation.
    pub(super) fn has_point(&self, x: &[u8], y: &[u8]) -> bool {
        let (Some(x), Some(y)) = (self.element(x), self.element(y)) else { return false };
        let mut one = [0; LIMBS];
        if let Some(lowest) = one.first_mut() {
            *lowest = 1;
        }
        let over_r_squared = |a: &[u64; LIMBS]| self.product(&self.product(a, &one), &one);
        let left = self.product(&self.product(&y, &y), &one);
        let cube = self.product(&self.product(&x, &x), &x);
        let three_x = self.sum(&self.sum(&x, &x), &x);
        let right = self.sum(&self.difference(&cube, &over_r_squared(&three_x)), &over_r_squared(&self.b));
        left == right
    }

    /// Reads exactly as many bytes as the field has.
    fn element(&self, bytes: &[u8]) -> Option<[u64; LIMBS]> {
        let (limbs, []) = bytes.as_chunks::<8>() else { return None };
        let mut element: [u64; LIMBS] =
            limbs.iter().map(|limb| u64::from_be_bytes(*limb)).collect::<Vec<_>>().try_into().ok()?;
        element.reverse();
        let (_, below) = subtract(&element, &self.p);
        below.then_some(element)
    }

    /// `a * b / 2^(64 * LIMBS)` modulo `p`.
    fn product(&self, a: &[u64; LIMBS], b: &[u64; LIMBS]) -> [u64; LIMBS] {
        let mut sum = [0_u64; LIMBS];
        let mut above = 0_u64;
        for &factor in b {
            let carry = add_multiple(&mut sum, a, factor);
            let (high, overflow) = above.overflowing_add(carry);
            let cancel = sum.first().copied().unwrap_or(0).wrapping_mul(self.negated_inverse);
            // Makes the lowest limb zero; dropping it is the division by 2^64.
            let carry = add_multiple(&mut sum, &self.p, cancel);
            let (high, again) = high.overflowing_add(carry);
            sum.rotate_left(1);
            if let Some(top) = sum.last_mut() {
                *top = high;
            }
            above = u64::from(overflow).wrapping_add(u64::from(again));
        }
        self.reduce_once(sum, above != 0)
    }

    fn sum(&self, a: &[u64; LIMBS], b: &[u64; LIMBS]) -> [u64; LIMBS] {
        let mut sum = *a;
        let carry = add_multiple(&mut sum, b, 1);
        self.reduce_once(sum, carry != 0)
    }

    fn difference(&self, a: &[u64; LIMBS], b: &[u64; LIMBS]) -> [u64; LIMBS] {
        let (mut difference, below) = subtract(a, b);
        if below {
            add_multiple(&mut difference, &self.p, 1);
        }
        difference
    }

    /// Brings a number below `2p` under `p`.
    fn reduce_once(&self, number: [u64; LIMBS], overflow: bool) -> [u64; LIMBS] {
        let (reduced, below) = subtract(&number, &self.p);
        if below && !overflow { number } else { reduced }
    }
}

/// `sum += a * factor`; what does not fit is returned.
fn add_multiple<const LIMBS: usize>(sum: &mut [u64; LIMBS], a: &[u64; LIMBS], factor: u64) -> u64 {
    let mut carry = 0;
    for (limb, &digit) in sum.iter_mut().zip(a) {
        (*limb, carry) = digit.carrying_mul_add(factor, *limb, carry);
    }
    carry
}

/// `a - b` modulo 2^(64 * LIMBS), and whether `a < b`.
fn subtract<const LIMBS: usize>(a: &[u64; LIMBS], b: &[u64; LIMBS]) -> ([u64; LIMBS], bool) {
    let mut difference = *a;
    let mut borrow = false;
    for (limb, &digit) in difference.iter_mut().zip(b) {
        (*limb, borrow) = limb.borrowing_sub(digit, borrow);
    }
    (difference, borrow)
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    use super::*;

    fn p256(point: &[u8]) -> bool {
        P256.has_point(&point[1..33], &point[33..])
    }

    fn p384(point: &[u8]) -> bool {
        P384.has_point(&point[1..49], &point[49..])
    }

    #[test]
    fn generators_are_on_their_curves() {
        let p256_g = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
        let p384_g = "04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab73617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f";
        assert!(p256(&hex::decode(p256_g).unwrap()));
        assert!(p384(&hex::decode(p384_g).unwrap()));
    }

    #[test]
    fn keys_of_ring_are_on_their_curves_and_their_neighbours_are_not() {
        let random = SystemRandom::new();
        for _ in 0..50 {
            for (algorithm, on_curve) in
                [(&ECDSA_P256_SHA256_ASN1_SIGNING, p256 as fn(&[u8]) -> bool), (&ECDSA_P384_SHA384_ASN1_SIGNING, p384)]
            {
                let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
                let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
                let mut point = pair.public_key().as_ref().to_vec();
                assert!(on_curve(&point));
                let last = point.len() - 1;
                point[last] ^= 1;
                assert!(!on_curve(&point));
                point[last] ^= 1;
                point[1] ^= 0x80;
                assert!(!on_curve(&point));
            }
        }
    }

    #[test]
    fn coordinates_are_below_the_prime() {
        // x = p, which is 0 modulo p; (0, sqrt(b)) is a point of P-256.
        let y = hex::decode("66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4").unwrap();
        let p = hex::decode("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff").unwrap();
        assert!(P256.has_point(&[0; 32], &y));
        assert!(!P256.has_point(&p, &y));
        assert!(!P256.has_point(&[0; 31], &y));
        assert!(!P256.has_point(&[0; 32], &[0; 32]));
    }
}
