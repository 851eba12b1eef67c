; The installer for Windows. Compiled by Inno Setup 6.3 or newer, on Windows, or on Linux through Wine:
;
;     ISCC.exe /DBundle=dist\parley-cpu /DVersion=0.1.0 packaging\windows\parley.iss
;
; It installs for the one person who runs it, without administrator's rights, asks nothing but where, and adds Parley to
; "Open with" of pictures and videos without becoming the default of any. Tests compile it: tests/packaging/test_windows.py
; looks over what the compiler does not.

#ifndef Version
  #error Say which version: /DVersion=0.1.0
#endif
#ifndef Bundle
  #error Say which frozen folder: /DBundle=dist\parley-cpu
#endif

[Setup]
; Never changes: by it a later version finds what it replaces.
AppId={{6F1B5A0E-3D0C-4B7E-9C55-8A1D2E7C4F63}
AppName=Parley
AppVersion={#Version}
AppVerName=Parley {#Version}
AppPublisher=The Parley project
VersionInfoVersion={#Version}
VersionInfoDescription=Parley, a private chat with a large model on your own GPU
DefaultDirName={autopf}\Parley
DisableProgramGroupPage=yes
DisableDirPage=auto
PrivilegesRequired=lowest
PrivilegesRequiredOverridesAllowed=dialog
ArchitecturesAllowed=x64compatible
ArchitecturesInstallIn64BitMode=x64compatible
MinVersion=10.0.17763
LicenseFile={#SourcePath}\..\..\LICENSE
SetupIconFile={#SourcePath}\parley.ico
UninstallDisplayIcon={app}\parley.exe
UninstallDisplayName=Parley
OutputBaseFilename=parley-{#Version}-windows-x86_64
Compression=lzma2/max
SolidCompression=yes
LZMANumBlockThreads=2
WizardStyle=modern
; A running Parley is closed first, and its files are never replaced under it.
CloseApplications=yes
RestartApplications=no
ChangesAssociations=yes

[Languages]
Name: "en"; MessagesFile: "compiler:Default.isl"

[Tasks]
Name: "desktopicon"; Description: "{cm:CreateDesktopIcon}"; Flags: unchecked

[InstallDelete]
; What an older version had and this one has not must not be found by it.
Type: filesandordirs; Name: "{app}\_internal"

[Files]
Source: "{#Bundle}\*"; DestDir: "{app}"; Flags: ignoreversion recursesubdirs createallsubdirs

[Icons]
Name: "{autoprograms}\Parley"; Filename: "{app}\parley.exe"; Comment: "A private chat with a large model"
Name: "{autodesktop}\Parley"; Filename: "{app}\parley.exe"; Tasks: desktopicon

[Registry]
Root: HKA; Subkey: "Software\Classes\Applications\parley.exe"; Flags: uninsdeletekey
Root: HKA; Subkey: "Software\Classes\Applications\parley.exe"; ValueType: string; ValueName: "FriendlyAppName"; ValueData: "Parley"
Root: HKA; Subkey: "Software\Classes\Applications\parley.exe\shell\open\command"; ValueType: string; ValueData: """{app}\parley.exe"" open ""%1"""
; The suffixes of app/chat/attachments.py.
#define Suffix(str dotted) "Root: HKA; Subkey: ""Software\Classes\Applications\parley.exe\SupportedTypes""; ValueType: string; ValueName: """ + dotted + """"
#emit Suffix(".png")
#emit Suffix(".jpg")
#emit Suffix(".jpeg")
#emit Suffix(".webp")
#emit Suffix(".gif")
#emit Suffix(".bmp")
#emit Suffix(".mp4")
#emit Suffix(".m4v")
#emit Suffix(".mov")
#emit Suffix(".webm")
#emit Suffix(".mkv")

[Run]
Filename: "{app}\parley.exe"; Description: "{cm:LaunchProgram,Parley}"; Flags: nowait postinstall skipifsilent

[Code]
const
  Question = 'Remove your conversations, settings and downloaded models as well?' + #13#10 + #13#10 +
    'They are in %1. If you answer No, they stay there, and a later Parley finds them again.';

{ Everything that Parley writes is below one folder, see app/paths.py. A silent removal keeps it. }
procedure CurUninstallStepChanged(CurUninstallStep: TUninstallStep);
var
  Data: String;
begin
  Data := ExpandConstant('{localappdata}\parley');
  if (CurUninstallStep = usPostUninstall) and DirExists(Data) then
    if SuppressibleMsgBox(FmtMessage(Question, [Data]), mbConfirmation, MB_YESNO or MB_DEFBUTTON2, IDNO) = IDYES then
      if not DelTree(Data, True, True, True) then
        SuppressibleMsgBox('Some of ' + Data + ' could not be removed; please remove it by hand.', mbError, MB_OK, IDOK);
end;
