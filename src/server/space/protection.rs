//! Who may do what with a node: role permissions and access restrictions (Part 3 §8.55, §8.56),
//! following the one table of roles in the domain.

use opcua::types::{NodeId, ObjectId, PermissionType, RolePermissionType};

use crate::domain::role::{Permission, Role};

/// Restriction: the channel must be signed.
pub const SIGNING_REQUIRED: u16 = 1;
/// Restriction: the channel must be encrypted.
pub const ENCRYPTION_REQUIRED: u16 = 2;

/// How a node is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protection {
    /// Everybody reads it, and nobody writes.
    #[default]
    Open,
    /// A variable that roles with a permission write.
    Writable(Permission),
    /// A variable of a machine: everybody reads it as it can be read there, and roles with a permission write
    /// it over signed channels.
    Setpoint(Permission),
    /// A method for roles with a permission.
    Method(Permission),
    /// What sessions and subscriptions there are, and who has done what: for those who answer for
    /// the installation.
    Diagnostics,
}

/// Who a session is.
#[derive(Clone, Debug)]
pub struct Asker {
    /// User name; empty for an anonymous one.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Whether the channel is signed.
    pub signed: bool,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

impl Asker {
    /// Nobody in particular, over an open channel.
    pub fn anonymous() -> Asker {
        Asker { name: String::new(), role: Role::Observer, signed: false, encrypted: false }
    }
}

impl Protection {
    /// What a role may do.
    pub fn permissions(self, role: Role) -> PermissionType {
        let seen = PermissionType::Browse | PermissionType::ReadRolePermissions;
        let read = seen
            | PermissionType::Read
            | PermissionType::ReadHistory
            | PermissionType::ReceiveEvents;
        match self {
            Protection::Open => read,
            Protection::Writable(permission) | Protection::Setpoint(permission)
                if role.may(permission) =>
            {
                read | PermissionType::Write
            }
            Protection::Writable(_) | Protection::Setpoint(_) => read,
            Protection::Method(permission) if role.may(permission) => read | PermissionType::Call,
            Protection::Method(_) => read,
            Protection::Diagnostics if matches!(role, Role::Engineer | Role::Admin) => read,
            Protection::Diagnostics => seen,
        }
    }

    /// What the channel must be.
    pub fn restrictions(self) -> u16 {
        match self {
            // Whoever may read values may also ask.
            Protection::Open | Protection::Setpoint(_) | Protection::Method(Permission::Read) => 0,
            Protection::Writable(_) | Protection::Method(_) => SIGNING_REQUIRED,
            Protection::Diagnostics => SIGNING_REQUIRED | ENCRYPTION_REQUIRED,
        }
    }

    /// Whether an asker has a permission over his channel.
    pub fn allows(self, asker: &Asker, permission: PermissionType) -> bool {
        let needs_signature =
            matches!(self, Protection::Setpoint(_)) && permission == PermissionType::Write;
        self.is_reachable(asker)
            && (asker.signed || !needs_signature)
            && self.permissions(asker.role).contains(permission)
    }

    /// Whether the asker's channel is protected as the node wants it.
    pub fn is_reachable(self, asker: &Asker) -> bool {
        let restrictions = self.restrictions();
        (restrictions & SIGNING_REQUIRED == 0 || asker.signed)
            && (restrictions & ENCRYPTION_REQUIRED == 0 || asker.encrypted)
    }

    /// The permissions of all roles; `own` is the namespace of roles that OPC UA does not know.
    pub fn role_permissions(self, own: u16) -> Vec<RolePermissionType> {
        let mut all: Vec<_> = Role::ALL.into_iter().map(|role| self.of_role(role, own)).collect();
        all.insert(
            0,
            RolePermissionType { role_id: ObjectId::WellKnownRole_Anonymous.into(), ..all[0] },
        );
        all
    }

    /// The permissions of one role.
    pub fn of_role(self, role: Role, own: u16) -> RolePermissionType {
        RolePermissionType { role_id: role_id(role, own), permissions: self.permissions(role) }
    }
}

/// The role as a node (Part 18 §4.3): the well-known one, or our own where there is none.
pub fn role_id(role: Role, own: u16) -> NodeId {
    let known = match role {
        Role::Observer => ObjectId::WellKnownRole_Observer,
        Role::Operator => ObjectId::WellKnownRole_Operator,
        Role::Supervisor => ObjectId::WellKnownRole_Supervisor,
        Role::Engineer => ObjectId::WellKnownRole_Engineer,
        Role::Admin => ObjectId::WellKnownRole_SecurityAdmin,
        Role::Erp => return NodeId::new(own, "role/erp"),
    };
    known.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(role: Role, signed: bool, encrypted: bool) -> Asker {
        Asker { name: "x".into(), role, signed, encrypted }
    }

    #[test]
    fn methods_need_the_role_and_a_signed_channel() {
        let method = Protection::Method(Permission::MoveOrders);
        assert!(method.allows(&asker(Role::Operator, true, false), PermissionType::Call));
        assert!(!method.allows(&asker(Role::Operator, false, false), PermissionType::Call));
        assert!(!method.allows(&asker(Role::Observer, true, true), PermissionType::Call));
        assert!(method.allows(&asker(Role::Observer, true, true), PermissionType::Browse));
        let asks = Protection::Method(Permission::Read);
        assert!(asks.allows(&Asker::anonymous(), PermissionType::Call));
        for role in Role::ALL {
            assert!(!Protection::Open.allows(&asker(role, true, true), PermissionType::Write));
        }
    }

    #[test]
    fn setpoints_are_read_by_everybody_and_written_by_few_over_signed_channels() {
        let setpoint = Protection::Setpoint(Permission::CommandMachines);
        assert!(setpoint.allows(&Asker::anonymous(), PermissionType::Read));
        let writes =
            |role, signed| setpoint.allows(&asker(role, signed, false), PermissionType::Write);
        assert!(writes(Role::Operator, true) && !writes(Role::Operator, false));
        assert!(!writes(Role::Observer, true) && !writes(Role::Engineer, true));
    }

    #[test]
    fn diagnostics_are_for_engineers_over_encrypted_channels() {
        let reads = |role, encrypted| {
            Protection::Diagnostics.allows(&asker(role, true, encrypted), PermissionType::Read)
        };
        assert!(reads(Role::Engineer, true) && reads(Role::Admin, true));
        assert!(!reads(Role::Engineer, false) && !reads(Role::Operator, true));
    }

    #[test]
    fn every_role_has_a_node_and_its_permissions() {
        let all = Protection::Open.role_permissions(2);
        assert_eq!(all.len(), Role::ALL.len() + 1);
        let mut ids: Vec<_> = all.iter().map(|one| one.role_id.to_string()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all.len());
    }
}
