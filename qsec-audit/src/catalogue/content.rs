//! Content, tasks, gateways, optional features.

use super::table::{activity, catalogue, member, option, setter, shape};

catalogue! {
    AppOpened = "app.opened" Block, severity 1, ocsf 6001:2, alias("com.qlik.v1.app.opened"), "privacy and security: which assets are opened",
        { app: text, space: text } personal();
    SheetOpened = "sheet.opened" CountedDrop, severity 1, ocsf 6001:2, alias("com.qlik.v1.analytics.analytics-app-client.sheet-view.opened"), "privacy and security: which assets are opened",
        { app: text, sheet: text } personal();
    AppExported = "app.exported" Block, severity 1, ocsf 6001:7, alias("com.qlik.app.exported"), "privacy and security: which assets leave",
        { app: text, bytes: int } personal();
    AppReloaded = "app.reloaded" Block, severity 1, ocsf 6002:8, alias("com.qlik.v1.app.reload.finished"), "privacy and security: usage includes reloads",
        { app: text, took_ms: int, section_access: flag } personal();
    AppDeleted = "app.deleted" FailClosed, severity 1, ocsf 6001:4, alias("com.qlik.app.deleted"), "privacy and security: which assets go",
        { app: text } personal();
    TaskRefused = "task.refused" Block, severity 2, ocsf 1006:6, alias(), "tenant encryption: background tasks fail while the key is off",
        { task: text, kind: text, cause: TaskCause } personal();
    GatewayRegistered = "gateway.registered" FailClosed, severity 1, ocsf 3004:6, alias(), "data integration: gateways",
        { gateway: text, kind: GatewayKind, key_digest: text } personal();
    GatewayRemoved = "gateway.removed" FailClosed, severity 1, ocsf 3004:7, alias(), "data integration: gateways",
        { gateway: text, kind: GatewayKind, key_digest: text } personal();
    GatewayConnected = "gateway.connected" Block, severity 1, ocsf 4014:1, alias(), "data integration: outbound only, a fresh channel key at each connect",
        { gateway: text, channel: text, tls: text, cause: text } personal();
    GatewayDisconnected = "gateway.disconnected" Block, severity 1, ocsf 4014:2, alias(), "data integration: outbound only, a fresh channel key at each connect",
        { gateway: text, channel: text, tls: text, cause: text } personal();
    GatewayRefused = "gateway.refused" Block, severity 2, ocsf 4014:1, alias(), "data integration: token-based gateways",
        { gateway: text, check: text, count: int, first: time, last: time } personal();
    FeatureEnabled = "feature.enabled" FailClosed, severity 1, ocsf 3004:8, alias(), "data integration: optional features are off until chosen",
        { feature: text } personal();
    FeatureDisabled = "feature.disabled" FailClosed, severity 1, ocsf 3004:9, alias(), "data integration: optional features are off until chosen",
        { feature: text } personal();
    FeatureMetadataSent = "feature.metadata_sent" Block, severity 1, ocsf 6003:2, alias(), "data integration: only metadata, same region",
        { feature: text, region: text, fields: texts, bytes: int } personal();
    FeatureRefused = "feature.refused" Block, severity 2, ocsf 6003:v, alias(), "data integration: optional features are off until chosen",
        { feature: text, cause: FeatureCause } personal();
    StorageConfigured = "storage.configured" FailClosed, severity 1, ocsf 3004:3, alias(), "data integration: customer-managed storage",
        { kind: StorageKind, target: text, region: text } personal();
    ResidencyRefused = "residency.refused" Block, severity 2, ocsf 6003:v, alias(), "privacy and security: residency; health data needs a customer key",
        { wanted: text, allowed: texts } personal();
    PhiRefused = "phi.refused" Block, severity 2, ocsf 6003:v, alias(), "privacy and security: residency; health data needs a customer key",
        { wanted: text, allowed: texts } personal();
}
