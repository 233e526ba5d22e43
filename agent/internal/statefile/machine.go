package statefile

// machineFile names the machine that the state directory is of.
const machineFile = "machine.json"

// A Machine is the machine that the state is of.
type Machine struct {
	Instance string `json:"instance"` // see kedge/agent/internal/machine
}

// Machine returns it; the zero value if it was not named yet.
func (d Dir) Machine() (Machine, error) { return read(document[Machine](d, machineFile)) }

// SaveMachine names it, durably.
func (d Dir) SaveMachine(m Machine) error {
	return d.WithReserve(func() error { return document[Machine](d, machineFile).Write(m) })
}
