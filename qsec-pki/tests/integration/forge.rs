//! Writes certificates and lists that our own authority would never issue. It shares no code with the crate.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use qsec_pki::{Authority, Bundle, CertificateRequest, LeafProfile, PrivateKey, TrustZone, Zone};

pub(crate) const ZONE: &str = "zone-a.internal";
/// 2026-07-01T10:00:00Z.
pub(crate) const NOW: i64 = 1_782_900_000;

pub(crate) fn at(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut out = vec![tag];
    match body.len() {
        short @ 0..=0x7f => out.push(u8::try_from(short).unwrap()),
        middle @ 0x80..=0xff => out.extend([0x81, u8::try_from(middle).unwrap()]),
        long => {
            let [.., a, b] = long.to_be_bytes();
            assert!(long <= 0xffff);
            out.extend([0x82, a, b]);
        }
    }
    out.extend(body);
    out
}

/// `YYYYMMDDHHMMSSZ` for the years this file needs, by the calendar's rules and a loop.
pub(crate) fn time(seconds: i64) -> Vec<u8> {
    let (mut days, clock) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let mut year = 1970;
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    while days >= if leap(year) { 366 } else { 365 } {
        days -= if leap(year) { 366 } else { 365 };
        year += 1;
    }
    let months = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= months[month] {
        days -= months[month];
        month += 1;
    }
    let rest = format!("{:02}{:02}{:02}{:02}{:02}Z", month + 1, days + 1, clock / 3_600, clock / 60 % 60, clock % 60);
    if year < 2050 {
        tlv(0x17, &[format!("{:02}{rest}", year % 100).as_bytes()])
    } else {
        tlv(0x18, &[format!("{year}{rest}").as_bytes()])
    }
}

pub(crate) fn name(organization: &str, common_name: &str) -> Vec<u8> {
    let attribute =
        |arc, value: &str| tlv(0x31, &[&tlv(0x30, &[&[6, 3, 0x55, 4, arc], &tlv(0x0c, &[value.as_bytes()])])]);
    tlv(0x30, &[&attribute(10, organization), &attribute(3, common_name)])
}

pub(crate) const BC: u8 = 0x13;
pub(crate) const KU: u8 = 0x0f;
pub(crate) const SAN: u8 = 0x11;
pub(crate) const EKU: u8 = 0x25;
pub(crate) const NC: u8 = 0x1e;
pub(crate) const SKI: u8 = 0x0e;
pub(crate) const AKI: u8 = 0x23;

/// An extension below 2.5.29.
#[derive(Clone)]
pub(crate) struct Extension {
    pub(crate) arc: u8,
    pub(crate) critical: bool,
    pub(crate) value: Vec<u8>,
}

impl Extension {
    fn encode(&self) -> Vec<u8> {
        let critical: &[u8] = if self.critical { &[1, 1, 0xff] } else { &[] };
        tlv(0x30, &[&[6, 3, 0x55, 0x1d, self.arc], critical, &tlv(4, &[&self.value])])
    }
}

pub(crate) fn ext(arc: u8, critical: bool, value: Vec<u8>) -> Extension {
    Extension { arc, critical, value }
}

pub(crate) fn ca(path_len: Option<u8>) -> Vec<u8> {
    path_len.map_or_else(|| tlv(0x30, &[&[1, 1, 0xff]]), |length| tlv(0x30, &[&[1, 1, 0xff, 2, 1, length]]))
}

pub(crate) const SERVER: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1];
pub(crate) const CLIENT: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2];
pub(crate) const CODE_SIGNING: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 3];
pub(crate) const ANY: &[u8] = &[6, 4, 0x55, 0x1d, 0x25, 0];

pub(crate) const ECDSA_SHA256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
pub(crate) const ECDSA_SHA384: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];

pub(crate) fn uri(text: &str) -> Vec<u8> {
    tlv(0x86, &[text.as_bytes()])
}

pub(crate) fn dns(text: &str) -> Vec<u8> {
    tlv(0x82, &[text.as_bytes()])
}

pub(crate) fn sans(names: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &[&names.concat()])
}

/// Every field of a certificate, to be changed before it is signed.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) version: Vec<u8>,
    pub(crate) serial: Vec<u8>,
    pub(crate) inner: Vec<u8>,
    pub(crate) outer: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) subject: Vec<u8>,
    pub(crate) spki: Vec<u8>,
    pub(crate) extensions: Vec<Extension>,
}

impl Draft {
    pub(crate) fn set(&mut self, arc: u8, value: Vec<u8>) {
        self.extensions.iter_mut().find(|extension| extension.arc == arc).unwrap().value = value;
    }

    pub(crate) fn remove(&mut self, arc: u8) {
        self.extensions.retain(|extension| extension.arc != arc);
    }

    pub(crate) fn push(&mut self, extension: Extension) {
        self.extensions.push(extension);
    }

    pub(crate) fn sign(&self, key: &PrivateKey) -> Vec<u8> {
        let extensions: Vec<_> = self.extensions.iter().map(Extension::encode).collect();
        let extensions =
            if extensions.is_empty() { Vec::new() } else { tlv(0xa3, &[&tlv(0x30, &[&extensions.concat()])]) };
        let validity = tlv(0x30, &[&time(self.not_before), &time(self.not_after)]);
        let tbs = tlv(
            0x30,
            &[
                &self.version,
                &tlv(2, &[&self.serial]),
                &self.inner,
                &self.issuer,
                &validity,
                &self.subject,
                &self.spki,
                &extensions,
            ],
        );
        let signature = key.sign(&tbs).unwrap();
        tlv(0x30, &[&tbs, &self.outer, &tlv(3, &[&[0], &signature])])
    }
}

/// A certificate that signs, and its key.
pub(crate) struct Ca {
    pub(crate) key: PrivateKey,
    pub(crate) subject: Vec<u8>,
    pub(crate) ski: Vec<u8>,
    pub(crate) der: Vec<u8>,
}

pub(crate) fn ski(key: &PrivateKey) -> Vec<u8> {
    let spki = key.public_key().spki_der();
    let point = &spki[spki.len() - 65..];
    ring::digest::digest(&ring::digest::SHA256, point).as_ref()[..20].to_vec()
}

fn draft(key: &PrivateKey, subject: Vec<u8>, issuer: Vec<u8>) -> Draft {
    Draft {
        version: vec![0xa0, 3, 2, 1, 2],
        serial: vec![0x4f, 0x1c, 0x9a],
        inner: ECDSA_SHA256.to_vec(),
        outer: ECDSA_SHA256.to_vec(),
        issuer,
        not_before: NOW - 300,
        not_after: NOW + 86_400,
        subject,
        spki: key.public_key().spki_der().to_vec(),
        extensions: Vec::new(),
    }
}

pub(crate) fn root_draft(key: &PrivateKey) -> Draft {
    let subject = name(ZONE, "qsec root 1");
    let mut draft = draft(key, subject.clone(), subject);
    draft.not_after = NOW + 3_650 * 86_400;
    draft.extensions = vec![
        ext(BC, true, ca(Some(1))),
        ext(KU, true, vec![3, 2, 1, 6]),
        ext(SAN, false, sans(&[uri(&format!("spiffe://{ZONE}"))])),
        ext(SKI, false, tlv(4, &[&ski(key)])),
    ];
    draft
}

impl Ca {
    pub(crate) fn root() -> Self {
        Self::root_with(|_| {})
    }

    pub(crate) fn root_with(change: impl FnOnce(&mut Draft)) -> Self {
        let key = PrivateKey::generate().unwrap();
        let mut draft = root_draft(&key);
        change(&mut draft);
        let der = draft.sign(&key);
        Self { subject: draft.subject, ski: ski(&key), der, key }
    }

    pub(crate) fn intermediate(&self) -> Self {
        self.intermediate_with(|_| {})
    }

    pub(crate) fn intermediate_with(&self, change: impl FnOnce(&mut Draft)) -> Self {
        let key = PrivateKey::generate().unwrap();
        let mut draft = draft(&key, name(ZONE, "qsec issuing 1"), self.subject.clone());
        draft.not_after = NOW + 365 * 86_400;
        draft.extensions = vec![
            ext(BC, true, ca(Some(0))),
            ext(KU, true, vec![3, 2, 1, 6]),
            ext(EKU, false, tlv(0x30, &[SERVER, CLIENT])),
            ext(SAN, false, sans(&[uri(&format!("spiffe://{ZONE}"))])),
            ext(SKI, false, tlv(4, &[&ski(&key)])),
            ext(AKI, false, tlv(0x30, &[&tlv(0x80, &[&self.ski])])),
        ];
        change(&mut draft);
        let der = draft.sign(&self.key);
        Self { subject: draft.subject, ski: ski(&key), der, key }
    }

    /// A server leaf that every rule accepts, after `change`.
    pub(crate) fn leaf(&self, change: impl FnOnce(&mut Draft)) -> Vec<u8> {
        let key = PrivateKey::generate().unwrap();
        let mut draft = draft(&key, name(ZONE, "n7"), self.subject.clone());
        draft.extensions = vec![
            ext(BC, true, tlv(0x30, &[])),
            ext(KU, true, vec![3, 2, 7, 0x80]),
            ext(EKU, false, tlv(0x30, &[SERVER])),
            ext(
                SAN,
                false,
                sans(&[uri(&format!("spiffe://{ZONE}/svc/engine/node/n7")), dns("n7.svc.zone-a.internal")]),
            ),
            ext(SKI, false, tlv(4, &[&ski(&key)])),
            ext(AKI, false, tlv(0x30, &[&tlv(0x80, &[&self.ski])])),
        ];
        change(&mut draft);
        draft.sign(&self.key)
    }

    pub(crate) fn zone(&self) -> TrustZone {
        TrustZone::new(Bundle::new(&[&self.der]).unwrap())
    }
}

/// A revocation list, to be changed before it is signed.
pub(crate) struct List {
    pub(crate) version: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) this_update: i64,
    pub(crate) next_update: Option<i64>,
    pub(crate) number: Option<Vec<u8>>,
    pub(crate) revoked: Vec<Vec<u8>>,
    pub(crate) extra: Vec<Extension>,
    pub(crate) entry_extension: Option<Extension>,
}

impl Ca {
    pub(crate) fn crl(&self, change: impl FnOnce(&mut List)) -> Vec<u8> {
        let mut list = List {
            version: vec![2, 1, 1],
            issuer: self.subject.clone(),
            this_update: NOW - 60,
            next_update: Some(NOW + 86_340),
            number: Some(vec![1]),
            revoked: Vec::new(),
            extra: Vec::new(),
            entry_extension: None,
        };
        change(&mut list);
        let entry_extension = list.entry_extension.map_or_else(Vec::new, |e| tlv(0x30, &[&e.encode()]));
        let entries: Vec<_> = list
            .revoked
            .iter()
            .map(|serial| tlv(0x30, &[&tlv(2, &[serial]), &time(list.this_update), &entry_extension]))
            .collect();
        let entries = if entries.is_empty() { Vec::new() } else { tlv(0x30, &[&entries.concat()]) };
        let mut extensions = vec![ext(AKI, false, tlv(0x30, &[&tlv(0x80, &[&self.ski])]))];
        extensions.extend(list.number.map(|number| ext(0x14, false, tlv(2, &[&number]))));
        extensions.extend(list.extra);
        let extensions: Vec<_> = extensions.iter().map(Extension::encode).collect();
        let tbs = tlv(
            0x30,
            &[
                &list.version,
                ECDSA_SHA256,
                &list.issuer,
                &time(list.this_update),
                &list.next_update.map_or_else(Vec::new, time),
                &entries,
                &tlv(0xa0, &[&tlv(0x30, &[&extensions.concat()])]),
            ],
        );
        tlv(0x30, &[&tbs, ECDSA_SHA256, &tlv(3, &[&[0], &self.key.sign(&tbs).unwrap()])])
    }
}

/// A real authority of the test zone, and a leaf with its key.
pub(crate) fn authority(now: SystemTime) -> Authority {
    Authority::create(Zone::parse(ZONE).unwrap(), now).unwrap().commit()
}

pub(crate) fn issue(authority: &Authority, profile: &LeafProfile, now: SystemTime) -> (Vec<Vec<u8>>, PrivateKey) {
    let key = PrivateKey::generate().unwrap();
    let request = CertificateRequest::parse(&key.request().unwrap()).unwrap();
    (authority.issue(&request, profile, now).unwrap().chain().to_vec(), key)
}
