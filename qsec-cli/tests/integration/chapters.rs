//! The shell commands of the manual's chapters work as typed.

use crate::support::Room;

const CHAPTERS: [(&str, &str); 4] = [
    ("bring_your_own_key", include_str!("../../../src/manual/bring_your_own_key.md")),
    ("key_disabled", include_str!("../../../src/manual/key_disabled.md")),
    ("change_provider", include_str!("../../../src/manual/change_provider.md")),
    ("disaster_recovery", include_str!("../../../src/manual/disaster_recovery.md")),
];

/// The lines of a chapter's blocks for a shell.
fn commands(chapter: &str) -> Vec<&str> {
    let blocks = chapter.split("```sh\n").skip(1);
    blocks.flat_map(|block| block.split("```").next().unwrap_or_default().lines()).collect()
}

/// Whoever runs the tests may have credentials; they are none of ours.
const NOBODY: &str = "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN; ";

#[test]
fn each_command_of_a_chapter_works_as_typed() {
    for (name, chapter) in CHAPTERS {
        let commands = commands(chapter);
        assert!(!commands.is_empty(), "{name} has no commands");
        let room = Room::with_acme();
        room.feed(&["seal", "--tenant", "acme", "--out", "object"], "hello").is(0);
        room.write("objects.txt", "object\n");
        for command in commands {
            assert!(command.starts_with("qsec "), "{name}: {command}");
            // The key of the chapters is nobody's, so the answer is a no; an option that is not there would be a 2.
            let expected = i32::from(command.contains(" arn:"));
            room.shell(&format!("{NOBODY}{command}")).is(expected);
        }
    }
}
