//! What the roles of a space grant in it, as far as every engine can be told: types and actions whose grants depend on the
//! role alone, never on who owns the resource.

/// One line of the table: in a space of this kind, on this type, these actions, to these roles.
pub(super) struct Grant {
    pub(super) kind: &'static str,
    pub(super) type_name: &'static str,
    pub(super) actions: &'static [&'static str],
    pub(super) roles: &'static [&'static str],
}

const fn grant(
    kind: &'static str,
    type_name: &'static str,
    actions: &'static [&'static str],
    roles: &'static [&'static str],
) -> Grant {
    Grant { kind, type_name, actions, roles }
}

/// Written by hand, so that it is a second opinion and not a copy of our own tables.
pub(super) const GRANTS: [Grant; 10] = [
    grant("shared", "App", &["read", "export_data"], &["owner", "facilitator", "codeveloper", "producer", "consumer"]),
    grant(
        "shared",
        "App",
        &["update", "delete", "export", "publish", "reload"],
        &["owner", "facilitator", "codeveloper", "producer"],
    ),
    grant("shared", "App", &["share"], &["owner", "facilitator"]),
    grant(
        "shared",
        "DataAsset",
        &["read", "consume"],
        &["owner", "facilitator", "codeveloper", "producer", "dataconsumer"],
    ),
    grant("managed", "App", &["publish"], &["owner", "publisher"]),
    grant(
        "managed",
        "App",
        &["read"],
        &["owner", "facilitator", "contributor", "consumer", "basicconsumer", "operator"],
    ),
    grant("managed", "App", &["export_data"], &["owner", "facilitator", "contributor", "consumer"]),
    grant("managed", "App", &["reload"], &["owner", "facilitator", "operator"]),
    grant("managed", "App", &["update", "delete", "export", "share"], &["owner", "facilitator"]),
    grant("managed", "DataAsset", &["read", "consume"], &["owner", "facilitator", "dataconsumer"]),
];
