//! Odoo's files go where leadership goes.

use odoo_ha_tests::lab::{Node, Plan, situation};

fn write(node: &Node, name: &str) {
    std::fs::create_dir_all(node.files().join("filestore/shop")).unwrap();
    std::fs::write(node.files().join("filestore/shop").join(name), name).unwrap();
}

fn has(node: &Node, name: &str) -> bool {
    std::fs::read_to_string(node.files().join("filestore/shop").join(name)).is_ok_and(|found| found == name)
}

#[test]
fn after_a_failover_the_new_leader_has_them_and_the_old_one_gets_the_new_ones() {
    let test = "files::after_a_failover_the_new_leader_has_them_and_the_old_one_gets_the_new_ones";
    situation(test, Plan::nodes(2).files(), async |lab| {
        let before = lab.whole().await;
        let (old, new) = (&lab.nodes[before.leader], &lab.nodes[lab.other(&[before.leader])]);
        write(old, "before");
        lab.soon("the copy has it", || has(new, "before")).await;
        old.kill_everything();
        lab.led_anew(before).await;
        assert!(has(new, "before"));
        lab.writes().await;
        write(new, "after");
        // What only the old leader has comes to nobody, and stays.
        write(old, "unseen");
        old.rsyncd().unwrap().restart();
        old.agent().restart();
        lab.soon("the old leader has the new one's", || has(old, "after")).await;
        assert!(has(old, "unseen") && !has(new, "unseen"));
        // And back, by a switchover.
        lab.whole().await;
        write(old, "back");
        new.wish(&["switchover"]);
        lab.soon("the other way round, too", || has(new, "back") && has(new, "unseen")).await;
    });
}
