import os from 'node:os';

const { EAGAIN, EOPNOTSUPP } = os.constants.errno;
const errnoNames = new Map(Object.entries(os.constants.errno).map(([name, errno]) => [errno, name]));
errnoNames.set(EAGAIN, 'EAGAIN').set(EOPNOTSUPP, 'ENOTSUP'); // each shares its number with another name

/** A call that failed: `code` is the errno's name, as in Node's own errors. Names no file. */
export class SystemCallError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;

  constructor(syscall: string, errno: number) {
    const code = errnoNames.get(errno) ?? `E${errno}`;
    super(`${code}: ${syscall}`);
    this.name = 'SystemCallError';
    this.code = code;
    this.errno = -errno;
    this.syscall = syscall;
  }
}
