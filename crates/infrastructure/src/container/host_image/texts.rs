//! The files of the default image that we write ourselves.

/// What stands in `/etc`, by name.
pub(super) const ETC: &[(&str, &str)] = &[
    ("passwd", PASSWD),
    ("group", GROUP),
    ("shells", "/bin/sh\n/bin/bash\n/usr/bin/bash\n"),
    ("profile", PROFILE),
    ("hostname", "sandbox\n"),
    ("hosts", "127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost ip6-loopback\n"),
    (
        "nsswitch.conf",
        "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n",
    ),
    ("resolv.conf", "# This sandbox has no network.\n"),
];

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
sys:x:3:3:sys:/dev:/usr/sbin/nologin
mail:x:8:8:mail:/var/mail:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
daytona:x:1000:1000:Daytona:/home/daytona:/bin/bash
";

const GROUP: &str = "\
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
mail:x:8:
www-data:x:33:
sudo:x:27:daytona
utmp:x:43:
staff:x:50:
users:x:100:
nogroup:x:65534:
daytona:x:1000:
";

const PROFILE: &str = "\
if [ \"$(id -u)\" -eq 0 ]; then
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
else
  PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin
fi
export PATH
if [ -n \"$BASH\" ] && [ -n \"$PS1\" ] && [ -f /etc/bash.bashrc ]; then . /etc/bash.bashrc; fi
";

/// `no_new_privs` rules out a setuid program, so this one says so instead of failing in a puzzling way.
pub(super) const SUDO: &str = r#"#!/bin/sh
# sudo for a sandbox: runs the command when already root, and otherwise says how to become it.
while [ $# -gt 0 ]; do
  case "$1" in
    -u|-g|-p|-C|-h|-r|-t|-U|-D|-R|-T) shift 2 ;;
    --) shift; break ;;
    -v|-k|-K|-l) exit 0 ;;
    -*) shift ;;
    *=*) export "$1"; shift ;;
    *) break ;;
  esac
done
if [ "$(id -u)" -ne 0 ]; then
  echo "sudo: no process of this sandbox can gain rights; create the sandbox with user \"root\" instead" >&2
  exit 1
fi
[ $# -gt 0 ] || exit 0
exec "$@"
"#;
