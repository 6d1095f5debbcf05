//! Login, sessions, tokens, clients.

use super::table::{activity, catalogue, member, option, setter, shape};

catalogue! {
    LoginSucceeded = "login.succeeded" Block, severity 1, ocsf 3002:1, alias(), "privacy and security: audit of authentication",
        { idp: text, method: text, mfa: flag } personal("groups", "name");
    LoginFailed = "login.failed" Block, severity 2, ocsf 3002:1, alias(), "privacy and security: failed logins are tracked",
        { idp: text, method: text, attempt: int, count: int, first: time, last: time } personal("claimed_subject");
    SessionStarted = "session.started" Block, severity 1, ocsf 3002:1, alias("com.qlik.core.user-session.begun"), "privacy and security: user sessions",
        { idp: text, recovery: flag } personal();
    SessionEnded = "session.ended" Block, severity 1, ocsf 3002:2, alias("com.qlik.core.user-session.ended"), "privacy and security: user sessions",
        { cause: text, lasted_s: int } personal();
    SessionRejected = "session.rejected" Block, severity 2, ocsf 3002:99, alias(), "privacy and security: user sessions",
        { count: int, first: time, last: time } personal();
    TokenIssued = "token.issued" CountedDrop, severity 1, ocsf 3002:4, alias(), "tenant encryption: signed tokens inside the platform",
        { jti: text, audience: text, scopes: texts, kind: TokenKind, exp: time } personal();
    TokenRejected = "token.rejected" Block, severity 2, ocsf 3002:99, alias(), "privacy and security: JWT providers",
        { jti: text, issuer: text, alg: text, kid: text, check: text, count: int, first: time, last: time } personal();
    TokenRevoked = "token.revoked" FailClosed, severity 1, ocsf 3004:4, alias(), "privacy and security: revocation",
        { jti: text } personal();
    ReplayDetected = "replay.detected" Block, severity 4, ocsf 2004:1, alias(), "hardening: assertion time limits",
        { kind: ReplayKind } personal();
    OauthTokenIssued = "oauth.token.issued" Block, severity 1, ocsf 3002:3, alias("com.qlik.core.oauth-token.issued"), "privacy and security: OAuth token events",
        { jti: text, grant: text, scopes: texts, scopes_cut: texts, exp: time } personal();
    OauthTokenRefreshed = "oauth.token.refreshed" Block, severity 1, ocsf 3002:5, alias(), "privacy and security: OAuth token events",
        { jti: text, family: text } personal();
    OauthTokenRefused = "oauth.token.refused" Block, severity 2, ocsf 3002:3, alias(), "privacy and security: OAuth token events",
        { grant: text, scopes: texts, count: int, first: time, last: time } personal();
    OauthTokenRevoked = "oauth.token.revoked" FailClosed, severity 1, ocsf 3004:4, alias("com.qlik.core.oauth-token.revoked"), "privacy and security: OAuth token events",
        { jti: text, family: text } personal();
    OauthRefreshTokenReused = "oauth.refresh_token.reused" FailClosed, severity 4, ocsf 2004:1, alias(), "privacy and security: OAuth token events",
        { family: text, revoked: int } personal();
    OauthConsentGranted = "oauth.consent.granted" Block, severity 1, ocsf 3003:1, alias(), "privacy and security: login consent",
        { scopes: texts } personal();
    OauthClientCreated = "oauth.client.created" FailClosed, severity 1, ocsf 3004:1, alias("com.qlik.core.oauth-client.created"), "privacy and security: OAuth clients",
        { kind: text, grants: texts, scopes: texts, changed: texts } personal();
    OauthClientUpdated = "oauth.client.updated" FailClosed, severity 1, ocsf 3004:3, alias("com.qlik.core.oauth-client.updated"), "privacy and security: OAuth clients",
        { kind: text, grants: texts, scopes: texts, changed: texts } personal();
    OauthClientDeleted = "oauth.client.deleted" FailClosed, severity 1, ocsf 3004:4, alias("com.qlik.core.oauth-client.deleted"), "privacy and security: OAuth clients",
        { kind: text, grants: texts, scopes: texts, changed: texts } personal();
    OauthClientSecretCreated = "oauth.client.secret_created" FailClosed, severity 1, ocsf 3004:3, alias("com.qlik.core.oauth-client.secret.created"), "privacy and security: client and secret",
        { secret_id: text, expires: time } personal();
    OauthClientSecretDeleted = "oauth.client.secret_deleted" FailClosed, severity 1, ocsf 3004:3, alias("com.qlik.core.oauth-client.secret.deleted"), "privacy and security: client and secret",
        { secret_id: text, expires: time } personal();
    UserImpersonated = "user.impersonated" FailClosed, severity 2, ocsf 3002:7, alias(), "privacy and security: impersonation by a machine client",
        { scopes: texts } personal();
    SigningKeyPublished = "signing_key.published" FailClosed, severity 1, ocsf 3004:1, alias(), "tenant encryption: integrity of platform tokens",
        { kid: text, alg: text } personal();
    SigningKeyActivated = "signing_key.activated" FailClosed, severity 1, ocsf 3004:10, alias(), "tenant encryption: integrity of platform tokens",
        { kid: text, alg: text } personal();
    SigningKeyRetired = "signing_key.retired" FailClosed, severity 1, ocsf 3004:11, alias(), "tenant encryption: integrity of platform tokens",
        { kid: text, alg: text } personal();
    IdpCreated = "idp.created" FailClosed, severity 1, ocsf 3004:1, alias(), "privacy and security: one interactive provider, many JWT",
        { kind: IdpKind, issuer: text, changed: texts } personal();
    IdpUpdated = "idp.updated" FailClosed, severity 1, ocsf 3004:3, alias(), "privacy and security: one interactive provider, many JWT",
        { kind: IdpKind, issuer: text, changed: texts } personal();
    IdpDeleted = "idp.deleted" FailClosed, severity 1, ocsf 3004:4, alias(), "privacy and security: one interactive provider, many JWT",
        { kind: IdpKind, issuer: text, changed: texts } personal();
    SigningKeyRemoved = "signing_key.removed" FailClosed, severity 1, ocsf 3004:4, alias(), "tenant encryption: integrity of platform tokens",
        { kid: text, alg: text } personal();
    SigningKeyRevoked = "signing_key.revoked" FailClosed, severity 3, ocsf 3004:4, alias(), "tenant encryption: integrity of platform tokens",
        { kid: text, alg: text } personal();
    IdpKeysChanged = "idp.keys_changed" Block, severity 1, ocsf 3004:3, alias(), "privacy and security: trust in an application's keys",
        { idp: text, added: texts, dropped: texts } personal();
    IdpDiscoveryChanged = "idp.discovery_changed" Block, severity 1, ocsf 3004:3, alias(), "privacy and security: identity providers",
        { idp: text, changed: texts } personal();
    UserLinked = "user.linked" FailClosed, severity 1, ocsf 3007:99 (3001:99), alias(), "privacy and security: identity providers",
        { idp: text, by_source as "by": LinkedBy } personal();
    OauthConsentWithdrawn = "oauth.consent.withdrawn" FailClosed, severity 1, ocsf 3003:2, alias(), "privacy and security: login consent",
        { scopes: texts } personal();
    OauthAuthorizationRefused = "oauth.authorization.refused" Block, severity 2, ocsf 3002:99, alias(), "privacy and security: OAuth clients",
        { check: text, count: int, first: time, last: time } personal();
    IdpRecoveryUsed = "idp.recovery_used" FailClosed, severity 3, ocsf 3002:1, alias(), "privacy and security: recovery by the service account owner",
        { idp: text } personal();
    IdpUnavailable = "idp.unavailable" Block, severity 3, ocsf 6008:1, alias(), "privacy and security: identity providers",
        { idp: text, error: text } personal();
    ApiKeyCreated = "api_key.created" FailClosed, severity 1, ocsf 3004:1, alias("com.qlik.core.api-key.created"), "privacy and security: API keys of users are avoided",
        { expires: time, scopes: texts } personal();
    ApiKeyRevoked = "api_key.revoked" FailClosed, severity 1, ocsf 3004:4, alias("com.qlik.core.api-key.deleted"), "privacy and security: API keys of users are avoided",
        { expires: time, scopes: texts } personal();
    ApiKeyRejected = "api_key.rejected" Block, severity 2, ocsf 3002:99, alias("com.qlik.core.api-key.validation.failed"), "privacy and security: API keys of users are avoided",
        { key: text, count: int, first: time, last: time } personal();
}
