//! What the servers of a test's own have in common: the user who may run them, an empty environment, and that they end with the test.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A folder for the data of a server, in the hands of whoever runs it.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    if let Some((user, group)) = other_user() {
        std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).expect("root may give a folder away");
    }
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).expect("the folder is ours");
    folder
}

/// A program of a server, in its folder. Where the kernel can do it, it also ends when the test ends without a chance to clean up.
pub(crate) fn command(program: &Path, folder: &Path) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    let mut command = if setpriv.is_file() {
        let mut command = Command::new(setpriv);
        command.args([OsStr::new("--pdeathsig"), OsStr::new("KILL"), program.as_os_str()]);
        command
    } else {
        Command::new(program)
    };
    command.env_clear().current_dir(folder).env("HOME", folder).env("LC_ALL", "C.UTF-8");
    command.env("PATH", "/usr/lib/erlang/bin:/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin").stdin(Stdio::null());
    if let Some((user, group)) = other_user() {
        command.uid(user).gid(group);
    }
    command
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0)
}

/// Whom servers run as when the tests run as root, which PostgreSQL refuses: `postgres`, or whoever owns nothing.
pub(crate) fn other_user() -> Option<(u32, u32)> {
    let ours = std::fs::metadata("/proc/self").ok()?.uid();
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = |name: &str| {
        let line = known.lines().find(|it| it.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2);
        Some((ids.next()?.parse().ok()?, ids.next()?.parse().ok()?))
    };
    (ours == 0).then(|| user("postgres").or_else(|| user("nobody")).expect("a user who is not root"))
}

/// Whom servers run as, by name and number: user, group.
pub(crate) fn server_user() -> (String, String, u32, u32) {
    let ours = std::fs::metadata("/proc/self").map(|it| (it.uid(), it.gid())).expect("there is /proc");
    let (user, group) = other_user().unwrap_or(ours);
    let name = |file: &str, id: u32| {
        let known = std::fs::read_to_string(file).unwrap_or_default();
        let line = known.lines().find(|it| it.split(':').nth(2) == Some(&id.to_string())).map(str::to_owned);
        line.and_then(|it| it.split(':').next().map(str::to_owned)).expect("users and groups have names")
    };
    (name("/etc/passwd", user), name("/etc/group", group), user, group)
}

/// Ends a server and the processes that it has started, at once.
pub(crate) fn end_with_children(mut server: Child) {
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.id())).unwrap_or_default();
    // The server first, so that it starts no others; a child may have ended by itself meanwhile, of which `kill` complains.
    for whom in std::iter::once(server.id().to_string()).chain(children.split_whitespace().map(str::to_owned)) {
        let _ = Command::new("kill").args(["-KILL", &whom]).stderr(Stdio::null()).status();
    }
    server.wait().expect("it ends");
}
