//! Over a real ssh, whose key may do nothing but this.

use std::net::IpAddr;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use odoo_ha_tests::stores::{StoreProcess, free_port, tool};

use super::support::{ABC, Host, complete, follow, is_root, status};

fn key(path: &Path) -> String {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status();
    assert!(made.unwrap().success());
    fs::read_to_string(path.with_extension("pub")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_over_ssh_by_a_key_that_may_do_nothing_else() {
    if !is_root() {
        println!("skipped: sshd takes root");
        return;
    }
    let port = free_port(IpAddr::from([127, 0, 0, 1]));
    let (leader, copy) = (Host::new("a", [127, 0, 0, 1], port), Host::new("b", [127, 0, 0, 1], port));
    let here = leader.path();
    let (host_key, own_key) = (key(&here.join("host")), key(&here.join("own")));
    let restricted = format!("command=\"/usr/bin/rrsync -ro {}\",restrict {own_key}", leader.data().display());
    fs::write(here.join("authorized"), restricted).unwrap();
    fs::write(here.join("known"), format!("[127.0.0.1]:{port} {host_key}")).unwrap();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized\nStrictModes no\n\
         UsePAM no\nPidFile none\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n",
        here.display()
    );
    fs::write(here.join("sshd_config"), config).unwrap();
    // Compiled into sshd, which refuses to start without it; the system's own service makes it.
    fs::create_dir_all("/run/sshd").unwrap();
    // Unpacked, not installed: an installed one is a service.
    let program = tool("openssh", "sshd");
    let libraries =
        format!("LD_LIBRARY_PATH={}/../lib/{}-linux-gnu", program.parent().unwrap().display(), env::consts::ARCH);
    let mut arguments = vec![libraries, program.display().to_string()];
    arguments.extend(["-D", "-e", "-f", here.join("sshd_config").to_str().unwrap()].map(str::to_owned));
    let sshd = StoreProcess::start("sshd", Path::new("/usr/bin/env"), arguments, here);
    leader.answers().await;
    leader.write(ABC, "abc");
    // ssh runs as the owner of the files, and must be somebody.
    chown(copy.data(), Some(0), Some(0)).unwrap();
    let ssh = |key: &str| {
        let mut command: Vec<String> =
            ["/usr/bin/ssh", "-F", "/dev/null", "-o", "BatchMode=yes"].map(Into::into).into();
        let known = format!("UserKnownHostsFile={}/known", here.display());
        command.extend(["-p", &port.to_string(), "-i", key, "-o", &known].map(str::to_owned));
        let mut config = copy.config().ssh(command);
        config.source = "root@{host}:/".to_owned();
        config
    };
    let stranger = here.join("stranger");
    key(&stranger);
    let files = ssh(stranger.to_str().unwrap()).build().unwrap();
    follow(&files, 1, &leader).await;
    status(&files, "the refusal is told", |seen| seen.is_err_and(|why| why.contains("Permission denied"))).await;
    drop(files);
    let files = ssh(here.join("own").to_str().unwrap()).build().unwrap();
    follow(&files, 1, &leader).await;
    copy.has(ABC, "abc").await;
    complete(&files).await;
    assert!(sshd.is_running(), "{}", sshd.log());
}
