//! One token, in the terms of PKCS#11. Everything here blocks.

use std::ffi::c_ulong;
use std::mem;

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::{AuthPin, Ulong};
use zeroize::{Zeroize, Zeroizing};

use crate::kms::pkcs11::binding::BLOB_BYTES;
use crate::kms::pkcs11::error::TokenError;
use crate::secret::Secret;

/// Bytes of the AES keys that are made.
const KEK_BYTES: c_ulong = 32;

type Result<T> = std::result::Result<T, TokenError>;

/// A session with a token, and what it takes to open another.
pub(super) struct Token {
    module: Pkcs11,
    label: String,
    pin: Secret,
    slot: Slot,
    session: Session,
}

/// A key that wraps keys, and what its owner lets it do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kek {
    handle: ObjectHandle,
    pub(super) wraps: bool,
    pub(super) unwraps: bool,
    /// Sensitive and not extractable: nobody can carry it off the token.
    pub(super) stays_inside: bool,
}

impl Token {
    pub(super) fn open(module: Pkcs11, label: String, pin: Secret) -> Result<Self> {
        let slot = find_slot(&module, &label)?;
        let session = log_in(module.open_ro_session(slot)?, &pin)?;
        Ok(Self { module, label, pin, slot, session })
    }

    pub(super) fn wrap(&mut self, label: &str, bound: &[u8]) -> Result<Vec<u8>> {
        self.in_session(|session| {
            let kek = find_kek(session, label)?;
            if !kek.wraps {
                return Err(TokenError::Disabled);
            }
            if !kek.stays_inside {
                return Err(TokenError::Usage(
                    "the key can be taken off the token: make it sensitive, not extractable",
                ));
            }
            let object = create_secret(session, bound)?;
            let blob = session.wrap_key(&Mechanism::AesKeyWrap, kek.handle, object);
            session.destroy_object(object)?;
            Ok(blob?)
        })
    }

    pub(super) fn unwrap(&mut self, label: &str, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.in_session(|session| {
            let kek = find_kek(session, label)?;
            if !kek.unwraps {
                return Err(TokenError::Disabled);
            }
            if blob.len() != BLOB_BYTES {
                return Err(TokenError::NoBlob);
            }
            let object = session.unwrap_key(&Mechanism::AesKeyWrap, kek.handle, blob, &secret_template())?;
            let value = session.get_attributes(object, &[AttributeType::Value]);
            session.destroy_object(object)?;
            match value?.pop() {
                Some(Attribute::Value(value)) => Ok(Zeroizing::new(value)),
                _ => Err(TokenError::NoBlob),
            }
        })
    }

    pub(super) fn find_kek(&mut self, label: &str) -> Result<Kek> {
        self.in_session(|session| find_kek(session, label))
    }

    pub(super) fn create_kek(&mut self, label: &str) -> Result<()> {
        match self.find_kek(label) {
            Err(TokenError::NoKey) => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(TokenError::Usage("a key of that label is there already")),
        }
        let template = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Label(label.as_bytes().to_vec()),
            Attribute::ValueLen(Ulong::from(KEK_BYTES)),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Wrap(true),
            Attribute::Unwrap(true),
            Attribute::Encrypt(false),
            Attribute::Decrypt(false),
        ];
        self.writing()?.generate_key(&Mechanism::AesKeyGen, &template)?;
        Ok(())
    }

    pub(super) fn let_wrap(&mut self, label: &str, allowed: bool) -> Result<()> {
        let kek = self.find_kek(label)?;
        let attributes = [Attribute::Wrap(allowed), Attribute::Unwrap(allowed)];
        Ok(self.writing()?.update_attributes(kek.handle, &attributes)?)
    }

    pub(super) fn destroy_kek(&mut self, label: &str) -> Result<()> {
        let kek = self.find_kek(label)?;
        Ok(self.writing()?.destroy_object(kek.handle)?)
    }

    /// A session that may change the token; the usual one may not.
    fn writing(&self) -> Result<Session> {
        Ok(self.module.open_rw_session(self.slot)?)
    }

    /// Works in the session, and where it was lost once more in a new one.
    fn in_session<T>(&mut self, work: impl Fn(&Session) -> Result<T>) -> Result<T> {
        match work(&self.session) {
            Err(error) if error.is_lost_session() => {}
            answer => return answer,
        }
        self.slot = find_slot(&self.module, &self.label)?;
        let session = log_in(self.module.open_ro_session(self.slot)?, &self.pin)?;
        // Not dropped: that closes its handle, which is nobody's, or by now the number of another session.
        mem::forget(mem::replace(&mut self.session, session));
        work(&self.session)
    }
}

/// The slot numbers of tokens change; the label is what stays.
fn find_slot(module: &Pkcs11, label: &str) -> Result<Slot> {
    let has_label = |slot: &Slot| module.get_token_info(*slot).is_ok_and(|token| token.label().trim_end() == label);
    let mut slots = module.get_slots_with_token()?.into_iter().filter(has_label);
    match (slots.next(), slots.next()) {
        (Some(slot), None) => Ok(slot),
        (None, _) => Err(TokenError::NoToken),
        (Some(_), Some(_)) => Err(TokenError::Usage("two tokens have this label")),
    }
}

fn log_in(session: Session, pin: &Secret) -> Result<Session> {
    let pin = std::str::from_utf8(pin.expose_secret()).map_err(|_| TokenError::Usage("the PIN is not UTF-8"))?;
    match session.login(UserType::User, Some(&AuthPin::new(pin.into()))) {
        // Login is of the process, not of the session.
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
        Err(error) => Err(error.into()),
    }
}

/// Labels need not be unique on a token. Two keys of one label are refused: whoever can add a key could otherwise have
/// tenant keys wrapped by one of their own.
fn find_kek(session: &Session, label: &str) -> Result<Kek> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(true),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    let found: std::result::Result<Vec<ObjectHandle>, Error> = session.iter_objects(&template)?.take(2).collect();
    let handle = match found?.as_slice() {
        [] => return Err(TokenError::NoKey),
        [handle] => *handle,
        _ => return Err(TokenError::Usage("two keys have this label")),
    };
    let asked = [AttributeType::Sensitive, AttributeType::Extractable, AttributeType::Wrap, AttributeType::Unwrap];
    let attributes = session.get_attributes(handle, &asked)?;
    let is = |attribute| attributes.contains(&attribute);
    Ok(Kek {
        handle,
        wraps: is(Attribute::Wrap(true)),
        unwraps: is(Attribute::Unwrap(true)),
        stays_inside: is(Attribute::Sensitive(true)) && is(Attribute::Extractable(false)),
    })
}

/// An object of this session alone, which the token lets us read.
fn secret_template() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ]
}

fn create_secret(session: &Session, value: &[u8]) -> Result<ObjectHandle> {
    let mut template = secret_template();
    template.push(Attribute::Value(value.to_vec()));
    let object = session.create_object(&template);
    for attribute in &mut template {
        if let Attribute::Value(value) = attribute {
            value.zeroize();
        }
    }
    Ok(object?)
}
