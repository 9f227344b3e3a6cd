export function removeSharedMemory(folder: string): void;
