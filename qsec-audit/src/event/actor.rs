//! The closed vocabularies of the envelope.

/// How an event is delivered: a constant of its type.
///
/// ```
/// use qsec_audit::{Class, catalogue::KeyDisabled};
///
/// assert_eq!(KeyDisabled::TYPE.class(), Class::FailClosed);
/// assert_eq!(Class::FailClosed.as_str(), "fail_closed");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// The caller waits for the receipt before the effect happens; no log, no effect.
    FailClosed,
    /// The caller hands it over before it answers, and waits for room.
    Block,
    /// The caller never waits; what does not fit is counted.
    CountedDrop,
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All words.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word as it stands in a leaf.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The value that has this word.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// What kind of actor it was.
    ///
    /// ```
    /// assert_eq!(qsec_audit::ActorType::parse("gateway"), Some(qsec_audit::ActorType::Gateway));
    /// ```
    ActorType {
        /// A person, by internal id.
        User = "user",
        /// An OAuth client.
        Client = "client",
        /// A service of the deployment.
        Service = "service",
        /// A data gateway.
        Gateway = "gateway",
        /// Someone who runs the deployment.
        Operator = "operator",
        /// The deployment itself; it has no id.
        System = "system",
        /// Nobody known.
        Anonymous = "anonymous",
    }
}

words! {
    /// How the actor was authenticated.
    ///
    /// ```
    /// assert_eq!(qsec_audit::AuthType::ApiKey.as_str(), "apikey");
    /// ```
    AuthType {
        /// An interactive session.
        Session = "session",
        /// An OAuth access token of a user.
        OAuth = "oauth",
        /// A machine-to-machine token.
        M2m = "m2m",
        /// A machine-to-machine token that impersonates a user.
        Impersonation = "impersonation",
        /// A signed token of the tenant's own issuer.
        Jwt = "jwt",
        /// An API key.
        ApiKey = "apikey",
        /// A client certificate of the zone.
        Mtls = "mtls",
        /// A gateway token.
        Gateway = "gateway",
        /// A header set by a trusted proxy.
        Header = "header",
        /// A one-time ticket.
        Ticket = "ticket",
        /// Windows authentication at a trusted proxy.
        Windows = "windows",
        /// Kerberos at a trusted proxy.
        Kerberos = "kerberos",
        /// Nobody was authenticated.
        Anonymous = "anonymous",
        /// The command line.
        Cli = "cli",
    }
}

words! {
    /// How it ended.
    ///
    /// ```
    /// assert_eq!(qsec_audit::Outcome::Denied.as_str(), "denied");
    /// ```
    Outcome {
        /// It happened.
        Success = "success",
        /// It was tried and did not work.
        Failure = "failure",
        /// A rule said no.
        Denied = "denied",
    }
}

impl Class {
    /// The word as it stands in the schema.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FailClosed => "fail_closed",
            Self::Block => "block",
            Self::CountedDrop => "counted_drop",
        }
    }
}

/// Who did it: an internal id, never a name or an address.
///
/// ```
/// use qsec_audit::{Actor, ActorType};
///
/// assert_eq!(Actor::user("u-7").id(), Some("u-7"));
/// assert_eq!(Actor::system().kind(), ActorType::System);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    kind: ActorType,
    id: Option<String>,
}

impl Actor {
    /// An actor of a kind that has an id.
    #[must_use]
    pub fn new(kind: ActorType, id: impl Into<String>) -> Self {
        if kind == ActorType::System {
            return Self::system();
        }
        Self { kind, id: Some(id.into()) }
    }

    /// A person.
    #[must_use]
    pub fn user(id: impl Into<String>) -> Self {
        Self::new(ActorType::User, id)
    }

    /// An OAuth client.
    #[must_use]
    pub fn client(id: impl Into<String>) -> Self {
        Self::new(ActorType::Client, id)
    }

    /// A service of the deployment.
    #[must_use]
    pub fn service(id: impl Into<String>) -> Self {
        Self::new(ActorType::Service, id)
    }

    /// A data gateway.
    #[must_use]
    pub fn gateway(id: impl Into<String>) -> Self {
        Self::new(ActorType::Gateway, id)
    }

    /// Someone who runs the deployment.
    #[must_use]
    pub fn operator(id: impl Into<String>) -> Self {
        Self::new(ActorType::Operator, id)
    }

    /// The deployment itself.
    #[must_use]
    pub const fn system() -> Self {
        Self { kind: ActorType::System, id: None }
    }

    /// Nobody known.
    #[must_use]
    pub const fn anonymous() -> Self {
        Self { kind: ActorType::Anonymous, id: None }
    }

    /// What kind of actor.
    pub const fn kind(&self) -> ActorType {
        self.kind
    }

    /// Its id; the system and nobody have none.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}
