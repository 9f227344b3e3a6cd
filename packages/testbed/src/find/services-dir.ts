import { join } from "node:path";

/** `.services/` of the checkout: private copies of programs, and an empty database to start from. May be deleted at any time. */
export const servicesDir = join(import.meta.dirname, "../../../../.services");
