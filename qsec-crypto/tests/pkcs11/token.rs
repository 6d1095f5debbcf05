//! The token of the testbed, and what an owner does on it with other programs.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::Session;
use qsec_crypto::kms::pkcs11::Pkcs11Kms;
use qsec_crypto::{Secret, SecretKey};

const MODULE: &str = "QSEC_TEST_PKCS11_MODULE";

/// Set for the child process of a test that must be alone with the module.
const ALONE: &str = "QSEC_TEST_PKCS11_ALONE";

/// SoftHSM 2.6.1 now and then refuses to make a key (`CKR_TEMPLATE_INCONSISTENT`) while another session of the process, or another
/// process, makes or destroys one in the same token: one test at a time.
static TURN: Mutex<()> = Mutex::new(());

pub(crate) struct HsmToken {
    _turn: MutexGuard<'static, ()>,
    pub(crate) module: PathBuf,
    pub(crate) name: String,
    pin_file: PathBuf,
}

impl HsmToken {
    /// `None` where there is none, which is said; in CI that is a failure.
    #[expect(clippy::disallowed_methods, reason = "tests are told by variables what they find")]
    pub(crate) fn find() -> Option<Self> {
        let Some(module) = std::env::var_os(MODULE) else {
            println!("not run: pkcs11: {MODULE} is not set");
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "in CI everything runs");
            return None;
        };
        Some(Self {
            // A test that failed has told so; the token is not worse for it.
            _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner),
            module: module.into(),
            name: std::env::var("QSEC_TEST_PKCS11_TOKEN").unwrap(),
            pin_file: std::env::var_os("QSEC_TEST_PKCS11_PIN_FILE").unwrap().into(),
        })
    }

    /// Runs a test that ends the sessions of all in a process of its own, and answers the token in there.
    #[expect(clippy::disallowed_methods, reason = "tests are told by variables what they find")]
    pub(crate) fn alone(test: &str) -> Option<Self> {
        let token = Self::find()?;
        if std::env::var_os(ALONE).is_some() {
            return Some(token);
        }
        let mut child = Command::new(std::env::current_exe().unwrap());
        let child = child.args(["--exact", test, "--nocapture"]).env(ALONE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(
            child.status.success() && said.contains("1 passed"),
            "{said}{}",
            String::from_utf8_lossy(&child.stderr)
        );
        None
    }

    pub(crate) fn pin(&self) -> Secret {
        Secret::copy_from(&std::fs::read(&self.pin_file).unwrap())
    }

    pub(crate) async fn open(&self) -> Pkcs11Kms {
        Pkcs11Kms::open(&self.module, &self.name, self.pin()).await.unwrap()
    }

    pub(crate) fn make_extractable_key(&self, name: &str) -> String {
        let label = label(name);
        self.make_key(&label, true);
        label
    }

    pub(crate) fn make_key(&self, label: &str, extractable: bool) {
        let template = [
            Attribute::Token(true),
            Attribute::Label(label.as_bytes().to_vec()),
            Attribute::ValueLen(32.into()),
            Attribute::Sensitive(!extractable),
            Attribute::Extractable(extractable),
            Attribute::Wrap(true),
            Attribute::Unwrap(true),
        ];
        self.session().generate_key(&Mechanism::AesKeyGen, &template).unwrap();
    }

    /// The suite leaves its keys to the owner of the token.
    pub(crate) fn remove_keys_of_the_suite(&self) {
        let session = self.session();
        for key in session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(true)]).unwrap() {
            let label = session.get_attributes(key, &[AttributeType::Label]);
            let label = label.ok().and_then(|mut label| label.pop());
            if matches!(label, Some(Attribute::Label(label)) if label.starts_with(b"qsec-conformance-")) {
                session.destroy_object(key).unwrap();
            }
        }
    }

    /// Needs a `Pkcs11Kms` that is open: the process has logged in then.
    fn session(&self) -> Session {
        let module = Pkcs11::new(&self.module).unwrap();
        let slots = module.get_slots_with_token().unwrap();
        let of_name = |slot: &_| module.get_token_info(*slot).unwrap().label() == self.name;
        module.open_rw_session(slots.into_iter().find(of_name).unwrap()).unwrap()
    }

    /// What pulling the token out does: no session is valid any more.
    pub(crate) fn end_all_sessions(&self) {
        let initialize = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        let module = Pkcs11::new(&self.module).unwrap();
        let _ = module.initialize(initialize);
        module.clone().finalize().unwrap();
        module.initialize(initialize).unwrap();
    }
}

/// A label that no other run has used.
pub(crate) fn label(name: &str) -> String {
    let unique = SecretKey::generate().unwrap();
    format!("{name}-{}", hex::encode(&unique.expose_secret()[..8]))
}
