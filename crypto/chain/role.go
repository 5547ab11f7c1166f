package chain

// Role is what a member may do in a project.
type Role uint8

// The roles, strongest first. The zero Role is nobody.
const (
	Nobody Role = iota
	Owner
	Admin
	Writer
	Reader
	Auditor
)

// String is the word for r.
func (r Role) String() string {
	if r > Auditor {
		return "unknown"
	}
	return [...]string{"nobody", "owner", "admin", "writer", "reader", "auditor"}[r]
}

// ParseRole reads a word; the zero Role if it is none.
func ParseRole(s string) Role {
	for r := Owner; r <= Auditor; r++ {
		if r.String() == s {
			return r
		}
	}
	return Nobody
}

// known reports whether r is a role that somebody can have.
func (r Role) known() bool { return r > Nobody && r <= Auditor }

// Op is one kind of thing done to a project.
type Op uint8

// The operations.
const (
	OpAudit  Op = iota // read the chain: who is a member, who did what
	OpRead             // read items
	OpWrite            // add and change items
	OpJob              // ask a granted node to compute
	OpGrant            // grant a node
	OpManage           // add, change and remove members up to writer
	OpOwn              // the same for admins and owners
)

// String is the word for op.
func (op Op) String() string {
	if int(op) >= opCount {
		return "unknown"
	}
	return [...]string{"audit", "read", "write", "job", "grant", "manage", "own"}[op]
}

// ParseOp reads a word.
func ParseOp(s string) (Op, bool) {
	for op := OpAudit; int(op) < opCount; op++ {
		if op.String() == s {
			return op, true
		}
	}
	return 0, false
}

// opCount is how many operations there are.
const opCount = int(OpOwn) + 1

// Allows is the one table of rights. Everything not in it is refused.
func (r Role) Allows(op Op) bool {
	rights := [...][opCount]bool{
		//        audit  read   write  job    grant  manage own
		Nobody:  {false, false, false, false, false, false, false},
		Owner:   {true, true, true, true, true, true, true},
		Admin:   {true, true, true, true, true, true, false},
		Writer:  {true, true, true, true, false, false, false},
		Reader:  {true, true, false, false, false, false, false},
		Auditor: {true, false, false, false, false, false, false},
	}
	return int(r) < len(rights) && int(op) < opCount && rights[r][op]
}

// manages is the operation needed to give or take role r.
func (r Role) manages() Op {
	if r == Owner || r == Admin {
		return OpOwn
	}
	return OpManage
}
