//! Who has to act before a call that was not done can succeed.

/// Who has to act before the same call can succeed.
///
/// ```
/// use qsec::crypto::OpenError;
/// use qsec::{Error, Fault};
///
/// assert_eq!(Error::from(OpenError::NotOpened).fault(), Fault::Refused);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The answer is no: a rule, a state or a signature refused it. Repeating changes nothing.
    Refused,
    /// The caller handed in something that cannot be right.
    Misuse,
    /// A dependency is away; the same call can be repeated.
    Unavailable,
    /// An invariant of ours broke.
    Internal,
}

impl Fault {
    /// The fault that a code stands for. The same code leads to the same exit status from whatever room it comes, so that
    /// the choice is made by code and for each code: one that nobody thought of is a fault of ours, not silently a no.
    pub(crate) fn of(code: &str) -> Self {
        let sets = [(REFUSED, Self::Refused), (MISUSE, Self::Misuse), (UNAVAILABLE, Self::Unavailable)];
        let found = sets.into_iter().find(|(codes, _)| codes.contains(&code));
        found.map_or(Self::Internal, |(_, fault)| fault)
    }
}

/// The answer is no.
const REFUSED: &[&str] = &[
    // Keys, sealed bytes.
    "conflict",
    "key_destroyed",
    "key_disabled",
    "key_not_found",
    "key_pending_deletion",
    "key_record_forged",
    "key_version_not_found",
    "kms_access_denied",
    "kms_rejected",
    "kms_wrong_key",
    "migration_in_progress",
    "multi_region_required",
    "not_opened",
    "phi_requires_cmk",
    "region_not_allowed",
    // Tenants and deployments.
    "deactivation_protected",
    "deployment_exists",
    "feature_data",
    "feature_off",
    "id_used",
    "operator_required",
    "purge_started",
    "region_unknown",
    "same_actor",
    "storage_not_configured",
    "tenant_changed",
    "tenant_inactive",
    "tenant_mismatch",
    "tenant_not_found",
    "transition_not_allowed",
    // Identity.
    "client_not_found",
    "issuer_taken",
    "no_active_key",
    "not_found",
    "provider_exists",
    "provider_not_found",
    "too_many_providers",
    // Decisions, changes of the policy, and reduced data.
    "capability",
    "denied",
    "exceeds",
    "excluded",
    "exists",
    "in_use",
    "last_administrator",
    "no_grant",
    "not_active",
    "not_listed",
    "obligation_unmet",
    "resource_unknown",
    "restricted",
    "schema_changed",
    "scope",
    "tenant_unknown",
    "unchanged",
    "unsupported_type",
    "user_disabled",
    "uses_not_recorded",
    // Certificates.
    "csr_signature_invalid",
    "issuer_expiring",
    "issuer_is_intermediate",
    "issuer_key_mismatch",
    "issuer_not_yet_valid",
    "key_not_allowed",
    "key_reused",
    "name_not_in_zone",
    "prepared_stale",
    "serial_spent",
    "signer_not_here",
    // The log.
    "audit_tampered",
    "duplicate_event_id",
    "event_dropped",
    "event_erased",
    "forked",
    "frame_damaged",
    "log_closed",
    "no_such_event",
    "rolled_back",
    "sealed_state_refused",
    // The store is another version's, or another program's.
    "not_a_store",
    "schema_newer",
    "store_damaged",
];

/// The caller has to say something else.
const MISUSE: &[&str] = &[
    "usage",
    // Keys, sealed bytes, streams of the caller.
    "budget_exceeded",
    "context_invalid",
    "cursor_invalid",
    "key_file_invalid",
    "malformed",
    "message_too_long",
    "read_failed",
    "too_large_for_compact",
    "unsupported_suite",
    "write_failed",
    // Tenants, deployments, files.
    "confirm_mismatch",
    "deployment_missing",
    "file_exists",
    "file_unreadable",
    "file_unwritable",
    "folder_not_empty",
    "folder_permissions",
    "log_exists",
    "not_a_log",
    "path_refused",
    "record_refused",
    "unreadable",
    "url_refused",
    // Identity.
    "auth_method_unavailable",
    "binding_required",
    "claim_reserved",
    "claims_not_json",
    "client_name_invalid",
    "client_needs_authentication",
    "impersonation_needs_trusted",
    "issuer_invalid",
    "key_source_unavailable",
    "key_unsuitable",
    "keyset_invalid",
    "offline_access_needs_refresh",
    "origin_invalid",
    "provider_invalid",
    "redirect_uri_invalid",
    "scope_unknown",
    "spa_has_no_secret",
    "token_type_not_issued",
    "ttl_out_of_range",
    // Policies, requests, tables.
    "allowed_mismatch",
    "bad_access_value",
    "bad_csv",
    "bad_json",
    "bad_policy",
    "bad_request",
    "bad_rule",
    "duplicate_column",
    "no_access_column",
    "no_identity_column",
    "no_user",
    "refused",
    "too_large",
    "unknown_omit_field",
    "unknown_reduction_field",
    "unlinked_table",
    "unsupported_field",
    // Certificates.
    "csr_malformed",
    "csr_too_large",
    "id_malformed",
    "name_malformed",
    "time_out_of_range",
    "zone_malformed",
    // The log.
    "time_in_future",
];

/// A dependency has to come back.
const UNAVAILABLE: &[&str] = &[
    "audit_unavailable",
    "cursor_unavailable",
    "deployment_busy",
    "kms_busy",
    "kms_throttled",
    "kms_unavailable",
    "objects_unavailable",
    "store_unavailable",
    "unavailable",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use syn::visit::Visit;

    use super::*;

    /// Codes by which we say that we are at fault ourselves.
    const INTERNAL: [&str; 5] =
        ["damaged", "internal", "randomness_unavailable", "record_damaged", "signature_invalid"];

    /// The errors that reach a caller of the facade, by where they are defined, with those that they pass on.
    const ERRORS: [(&str, &[&str]); 7] = [
        ("src", &["Error", "HomeError", "LifecycleError", "TenantPolicyError"]),
        (
            "qsec-crypto/src",
            &[
                "KeyError",
                "KmsError",
                "SealError",
                "OpenError",
                "ContextError",
                "RandomError",
                "ReencryptionError",
                "Stopped",
                "StoppedState",
            ],
        ),
        ("qsec-identity/src", &["IssueError", "ProviderError", "RegistrationError"]),
        (
            "qsec-authz/src",
            &[
                "PolicyError",
                "RequestError",
                "AccessError",
                "CsvError",
                "ReduceError",
                "Refusal",
                "ManageError",
                "OpenError",
            ],
        ),
        ("qsec-pki/src", &["IssueError", "RequestError", "NameError"]),
        ("qsec-audit/src", &["RecordError", "OpenLogError", "ReadLogError", "VerifyError", "ProveError"]),
        ("qsec-store/src", &["StoreError", "OpenError"]),
    ];

    /// Codes that are not in a `code` of those: of stores, of decisions, and of certificates' names.
    const ELSEWHERE: [&str; 14] = [
        "bad_request",
        "capability",
        "conflict",
        "no_grant",
        "record_damaged",
        "record_refused",
        "resource_unknown",
        "restricted",
        "rolled_back",
        "scope",
        "store_unavailable",
        "tenant_inactive",
        "tenant_unknown",
        "user_disabled",
    ];

    #[derive(Default)]
    struct Codes {
        found: BTreeSet<String>,
        types: BTreeSet<String>,
        wanted: &'static [&'static str],
        inside: bool,
    }

    impl<'ast> Visit<'ast> for Codes {
        fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
            let syn::Type::Path(path) = item.self_ty.as_ref() else { return };
            let name = path.path.segments.last().unwrap().ident.to_string();
            if item.trait_.is_none() && self.wanted.contains(&name.as_str()) {
                for part in &item.items {
                    if let syn::ImplItem::Fn(function) = part
                        && function.sig.ident == "code"
                    {
                        self.types.insert(name.clone());
                        self.inside = true;
                        self.visit_block(&function.block);
                        self.inside = false;
                    }
                }
            }
        }

        fn visit_arm(&mut self, arm: &'ast syn::Arm) {
            // Patterns name what was matched, not what is answered.
            self.visit_expr(&arm.body);
        }

        fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
            if self.inside {
                self.found.insert(literal.value());
            }
        }
    }

    fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                rust_files(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }

    fn every_code() -> BTreeSet<String> {
        let mut all: BTreeSet<String> = ELSEWHERE.map(ToOwned::to_owned).into();
        for (folder, wanted) in ERRORS {
            let mut files = Vec::new();
            rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
            let mut codes = Codes { wanted, ..Codes::default() };
            for file in files {
                codes.visit_file(&syn::parse_file(&std::fs::read_to_string(file).unwrap()).unwrap());
            }
            let missing: Vec<_> = wanted.iter().filter(|name| !codes.types.contains(**name)).collect();
            assert!(missing.is_empty(), "{folder} has no `code` of {missing:?}");
            all.extend(codes.found);
        }
        all
    }

    #[test]
    fn the_fault_of_every_code_was_chosen() {
        let chosen: Vec<&str> = [REFUSED, MISUSE, UNAVAILABLE, &INTERNAL].concat();
        let set: BTreeSet<String> = chosen.iter().map(|code| (*code).to_owned()).collect();
        assert_eq!(set.len(), chosen.len(), "a code has two faults");
        let given = every_code();
        assert!(given.len() > 100, "{given:?}");
        let unchosen: Vec<_> = given.difference(&set).collect();
        assert!(unchosen.is_empty(), "nobody chose the fault of {unchosen:?}");
        let dead: Vec<_> = set.difference(&given).collect();
        assert!(dead.is_empty(), "nobody gives {dead:?}");
    }

    #[test]
    fn what_a_caller_can_put_right_is_misuse() {
        for code in [
            "client_name_invalid",
            "origin_invalid",
            "auth_method_unavailable",
            "client_needs_authentication",
            "key_source_unavailable",
        ] {
            assert_eq!(Fault::of(code), Fault::Misuse, "{code}");
        }
        assert_eq!(Fault::of("a code that nobody gives"), Fault::Internal);
    }
}
