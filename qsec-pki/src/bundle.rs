use crate::certificate::Certificate;
use crate::name::Zone;
use crate::rejection::Rejection;
use crate::rules::root;

/// Most roots of a bundle: two while rotating, and room for an operator (budget table of the zone's rules).
const MAX_ROOTS: usize = 4;

/// The roots that a zone trusts, each of sound shape, all of one zone.
///
/// ```
/// # use std::time::{Duration, UNIX_EPOCH};
/// use qsec_pki::{Authority, Bundle, Zone};
///
/// # let now = UNIX_EPOCH + Duration::from_secs(1_782_900_000);
/// let authority = Authority::create(Zone::parse("prod.internal")?, now)?.commit();
/// let bundle = Bundle::new(&[authority.root().der()])?;
/// assert_eq!(bundle.zone().as_str(), "prod.internal");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Bundle {
    zone: Zone,
    roots: Vec<Certificate>,
}

impl Bundle {
    /// Takes one to four DER certificates: row 1 of the zone's rules. Their validity is judged at each verification.
    ///
    /// # Errors
    /// A [`Rejection`] `root_unacceptable` if one is no zone root, or they are of two zones.
    pub fn new<C: AsRef<[u8]>>(roots: &[C]) -> Result<Self, Rejection> {
        if roots.len() > MAX_ROOTS {
            return Err(root::refuse("bundle holds more than four roots"));
        }
        let mut checked = roots.iter().map(|der| root::check(der.as_ref()));
        let (first, zone) = checked.next().ok_or_else(|| root::refuse("bundle holds no root"))??;
        let mut all = vec![first];
        for next in checked {
            let (certificate, other) = next?;
            if other != zone {
                return Err(root::refuse("bundle holds roots of two zones"));
            }
            all.push(certificate);
        }
        Ok(Self { zone, roots: all })
    }

    /// The bundle of one root that was checked before.
    pub(crate) fn of(zone: Zone, root: Certificate) -> Self {
        Self { zone, roots: vec![root] }
    }

    /// The zone of every root.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The roots, in the order in which they were given.
    pub fn roots(&self) -> &[Certificate] {
        &self.roots
    }
}
