//! Who may do what: one table for OPC UA, HTTP and every later interface.

/// A role of a user.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Reads.
    Observer,
    /// Works on the line.
    Operator,
    /// Answers for the shift.
    Supervisor,
    /// Connects machines and looks into everything.
    Engineer,
    /// Administers.
    Admin,
    /// The ERP system.
    Erp,
}

/// What a user may be allowed to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Permission {
    /// Read anything.
    Read,
    /// Store and revise orders.
    StoreOrders,
    /// Move orders through their states.
    MoveOrders,
    /// Report parts and material.
    Report,
    /// Give stops their reasons, split and merge them, state them.
    ClassifyStops,
    /// Change what belongs to a closed shift.
    CorrectClosedShifts,
    /// Switch alarms on and off.
    ManageAlarms,
    /// Write to machines and call their methods, as far as the configuration lets anybody.
    CommandMachines,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 6] =
        [Role::Observer, Role::Operator, Role::Supervisor, Role::Engineer, Role::Admin, Role::Erp];

    /// The word used in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Observer => "observer",
            Role::Operator => "operator",
            Role::Supervisor => "supervisor",
            Role::Engineer => "engineer",
            Role::Admin => "admin",
            Role::Erp => "erp",
        }
    }

    /// The role of that name.
    pub fn parse(text: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// Whether the role has a permission.
    pub fn may(self, permission: Permission) -> bool {
        match permission {
            Permission::Read => true,
            Permission::StoreOrders => matches!(self, Role::Erp | Role::Supervisor | Role::Admin),
            Permission::MoveOrders | Permission::Report => {
                matches!(self, Role::Operator | Role::Supervisor | Role::Admin | Role::Erp)
            }
            Permission::ClassifyStops | Permission::CommandMachines => {
                matches!(self, Role::Operator | Role::Supervisor | Role::Admin)
            }
            Permission::CorrectClosedShifts | Permission::ManageAlarms => {
                matches!(self, Role::Supervisor | Role::Admin)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observers_and_engineers_change_nothing() {
        use Permission::{
            ClassifyStops, CommandMachines, CorrectClosedShifts, MoveOrders, Report, StoreOrders,
        };
        for role in [Role::Observer, Role::Engineer] {
            let all = [
                StoreOrders,
                MoveOrders,
                Report,
                ClassifyStops,
                CorrectClosedShifts,
                CommandMachines,
            ];
            for permission in all {
                assert!(!role.may(permission), "{role:?} {permission:?}");
            }
        }
        assert!(!Role::Operator.may(CorrectClosedShifts) && Role::Operator.may(ClassifyStops));
        assert!(Role::Supervisor.may(CorrectClosedShifts));
    }
}
