package controller

// Look has the controller look at NATS now, as it does every [keepLook].
func (c *Controller) Look() { c.keeper.wake() }
