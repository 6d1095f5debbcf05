//! The closed vocabularies of data fields.

macro_rules! vocabulary {
    ($($(#[$meta:meta])* $name:ident { $($variant:ident = $word:literal),* $(,)? })*) => { $(
        $(#[$meta])*
        #[doc = ""]
        #[doc = "```"]
        #[doc = concat!("use qsec_audit::catalogue::", stringify!($name), ";")]
        #[doc = concat!("assert!(", stringify!($name), "::WORDS.len() > 1);")]
        #[doc = "```"]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`.")] $variant,)*
        }

        impl $name {
            /// All words.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word as it stands in a leaf.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    )* };
}

vocabulary! {
    /// Where a key is held.
    Provider { Internal = "internal", Aws = "aws", Pkcs11 = "pkcs11", Vault = "vault", Other = "other" }
    /// Whose doing a change of a key's state was.
    KeyAuthority { Tenant = "tenant", Kms = "kms" }
    /// What kind of token.
    TokenKind { Access = "access", Id = "id", Session = "session", Gateway = "gateway", Transaction = "transaction" }
    /// What was presented twice.
    ReplayKind { Jti = "jti", Dpop = "dpop", Saml = "saml", Ticket = "ticket", Code = "code" }
    /// What kind of identity provider.
    IdpKind {
        DefaultAccount = "default_account", Oidc = "oidc", Saml = "saml", Jwt = "jwt", Header = "header", Ticket = "ticket",
        Windows = "windows", Kerberos = "kerberos", Anonymous = "anonymous",
    }
    /// What joined two identities.
    LinkedBy { Email = "email", Mapping = "mapping" }
    /// Whom a role is given to.
    Assignee { User = "user", Group = "group", Client = "client" }
    /// What kind of space.
    SpaceKind { Personal = "personal", Shared = "shared", Managed = "managed", Data = "data" }
    /// Why a task was refused.
    TaskCause { Key = "key", Tenant = "tenant", Residency = "residency", Feature = "feature" }
    /// What kind of data gateway.
    GatewayKind { Direct = "direct", Movement = "movement" }
    /// Why an optional feature was refused.
    FeatureCause { Off = "off", Data = "data", Region = "region" }
    /// Whose storage.
    StorageKind { Managed = "managed", Customer = "customer" }
    /// What a certificate is for.
    CertificateRole { Client = "client", Server = "server", Peer = "peer" }
}
