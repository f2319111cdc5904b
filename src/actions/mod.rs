//! Actions: the half of a module that runs on the controller.
